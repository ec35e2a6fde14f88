"""Memory and swap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import Collector, Document, Occasion, missing_file_is_no_data, percent
from metrics.collectors.fields import Field, Kind, Levels, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host

_SOURCE = "/proc/meminfo"


def _bytes(name: str, description: str, label: str, kind: Kind = Kind.GAUGE) -> Field:
    return Field(f"memory.{name}", kind, Unit.BYTES, description, f"{_SOURCE}: {label}")


FIELDS = (
    _bytes("total_bytes", "Memory that the kernel manages.", "MemTotal", Kind.CAPACITY),
    _bytes("available_bytes", "Memory that programs can get without swapping.", "MemAvailable"),
    _bytes(
        "used_bytes",
        "Memory that programs cannot get without swapping.",
        "MemTotal − MemAvailable",
    ),
    Field(
        "memory.percent",
        Kind.GAUGE,
        Unit.PERCENT,
        "Share of memory that is used.",
        f"{_SOURCE}: (MemTotal − MemAvailable) / MemTotal",
        Levels(85, 95),
    ),
    _bytes("buffers_bytes", "Cache of raw block devices.", "Buffers"),
    _bytes(
        "cached_bytes",
        "Cache of files and of kernel objects that can be given back.",
        "Cached + SReclaimable",
    ),
    _bytes("swap_total_bytes", "Swap space.", "SwapTotal", Kind.CAPACITY),
    _bytes("swap_used_bytes", "Swap space in use.", "SwapTotal − SwapFree"),
    Field(
        "memory.swap_percent",
        Kind.GAUGE,
        Unit.PERCENT,
        "Share of swap space in use, 0 where there is none.",
        f"{_SOURCE}: (SwapTotal − SwapFree) / SwapTotal",
        Levels(50, 80),
    ),
    _bytes("free_bytes", "Memory that nothing uses, not even a cache.", "MemFree"),
    _bytes("shared_bytes", "Shared memory and tmpfs.", "Shmem"),
    _bytes("slab_bytes", "The kernel's own objects.", "Slab"),
    _bytes("anon_bytes", "Memory of programs that no file backs.", "AnonPages"),
    _bytes("mapped_bytes", "Files mapped into programs.", "Mapped"),
    _bytes("dirty_bytes", "Changed file data that waits to be written.", "Dirty"),
    _bytes("writeback_bytes", "File data that is being written now.", "Writeback"),
    _bytes("page_tables_bytes", "Page tables of programs.", "PageTables"),
    _bytes("committed_bytes", "Memory promised to programs, used or not.", "Committed_AS"),
    _bytes(
        "commit_limit_bytes",
        "What could be promised under strict overcommit.",
        "CommitLimit",
        Kind.CAPACITY,
    ),
    Field(
        "memory.hugepages_total",
        Kind.CAPACITY,
        Unit.COUNT,
        "Huge pages set aside.",
        f"{_SOURCE}: HugePages_Total",
    ),
    Field(
        "memory.hugepages_free",
        Kind.GAUGE,
        Unit.COUNT,
        "Huge pages set aside that nothing uses.",
        f"{_SOURCE}: HugePages_Free",
    ),
)

# Fields that are one line of /proc/meminfo in KiB.
_PLAIN = {
    "total_bytes": "MemTotal",
    "available_bytes": "MemAvailable",
    "buffers_bytes": "Buffers",
    "swap_total_bytes": "SwapTotal",
    "free_bytes": "MemFree",
    "shared_bytes": "Shmem",
    "slab_bytes": "Slab",
    "anon_bytes": "AnonPages",
    "mapped_bytes": "Mapped",
    "dirty_bytes": "Dirty",
    "writeback_bytes": "Writeback",
    "page_tables_bytes": "PageTables",
    "committed_bytes": "Committed_AS",
    "commit_limit_bytes": "CommitLimit",
}
_NAMES = (
    *_PLAIN.values(),
    "Cached",
    "SReclaimable",
    "SwapFree",
    "HugePages_Total",
    "HugePages_Free",
)


@dataclass(frozen=True)
class MemoryReading:
    """Lines of /proc/meminfo by name: KiB, huge pages as pages."""

    lines: dict[str, int | None]


def open_memory(host: Host, occasion: Occasion) -> Callable[[], MemoryReading]:
    from metrics.kernel import procfs

    with missing_file_is_no_data():
        meminfo = procfs.meminfo(host, _NAMES)
    return lambda: MemoryReading(meminfo())


def document(now: MemoryReading, before: MemoryReading | None, elapsed: float | None) -> Document:
    lines = now.lines
    section: Document = {name: _from_kib(lines[label]) for name, label in _PLAIN.items()}
    total, swap = section["total_bytes"], section["swap_total_bytes"]
    used = _difference(total, section["available_bytes"])
    swap_used = _difference(swap, _from_kib(lines["SwapFree"]))
    cached = lines["Cached"]
    section["used_bytes"] = used
    section["percent"] = percent(used, total)
    section["cached_bytes"] = (
        None if cached is None else _from_kib(cached + (lines["SReclaimable"] or 0))
    )
    section["swap_used_bytes"] = swap_used
    section["swap_percent"] = 0.0 if swap == 0 else percent(swap_used, swap)
    section["hugepages_total"] = lines["HugePages_Total"]
    section["hugepages_free"] = lines["HugePages_Free"]
    return section


def _from_kib(value: int | None) -> int | None:
    return None if value is None else value * 1024


def _difference(whole: int | None, rest: int | None) -> int | None:
    return None if whole is None or rest is None else max(0, whole - rest)


COLLECTOR = Collector("memory", FIELDS, open_memory, document)
