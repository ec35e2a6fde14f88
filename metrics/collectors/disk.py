"""Disks: whole devices, their sum, and how full the filesystems are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import Collector, Document, NoData, Occasion, growths, percent
from metrics.collectors.fields import Field, Kind, Levels, Unit

if TYPE_CHECKING:
    from metrics.kernel.filesystems import Mount, Usage
    from metrics.kernel.host import Host
    from metrics.kernel.procfs import DeviceCounters
    from metrics.kernel.sysfs import Blocks

_SOURCE = "/proc/diskstats"


def _total(name: str, kind: Kind, unit: Unit, description: str) -> Field:
    return Field(f"disk.{name}", kind, unit, description, _SOURCE)


def _device(
    name: str, kind: Kind, unit: Unit, description: str, levels: Levels | None = None
) -> Field:
    return Field(f"disk.devices.*.{name}", kind, unit, description, _SOURCE, levels)


def _partition(
    name: str, kind: Kind, unit: Unit, description: str, levels: Levels | None = None
) -> Field:
    source = "/proc/self/mountinfo" if kind is Kind.STATE else "statvfs(3)"
    return Field(f"disk.partitions.*.{name}", kind, unit, description, source, levels)


_FULL = Levels(85, 95)

FIELDS = (
    _total("read_bytes", Kind.COUNTER, Unit.BYTES, "Bytes read from all disks since boot."),
    _total("write_bytes", Kind.COUNTER, Unit.BYTES, "Bytes written to all disks since boot."),
    _total("read_count", Kind.COUNTER, Unit.COUNT, "Reads that all disks completed since boot."),
    _total("write_count", Kind.COUNTER, Unit.COUNT, "Writes that all disks completed since boot."),
    _total("read_bytes_per_sec", Kind.RATE, Unit.BYTES_PER_SECOND, "Data read from all disks."),
    _total("write_bytes_per_sec", Kind.RATE, Unit.BYTES_PER_SECOND, "Data written to all disks."),
    _total("read_iops", Kind.RATE, Unit.PER_SECOND, "Reads that all disks completed."),
    _total("write_iops", Kind.RATE, Unit.PER_SECOND, "Writes that all disks completed."),
    _device("read_bytes_per_sec", Kind.RATE, Unit.BYTES_PER_SECOND, "Data read from one device."),
    _device("write_bytes_per_sec", Kind.RATE, Unit.BYTES_PER_SECOND, "Data written to one device."),
    _device("read_iops", Kind.RATE, Unit.PER_SECOND, "Reads that one device completed."),
    _device("write_iops", Kind.RATE, Unit.PER_SECOND, "Writes that one device completed."),
    _device(
        "read_await_ms",
        Kind.GAUGE,
        Unit.MILLISECONDS,
        "Time from asking for a read to its end, waiting included, mean of the reads.",
    ),
    _device(
        "write_await_ms",
        Kind.GAUGE,
        Unit.MILLISECONDS,
        "Time from asking for a write to its end, waiting included, mean of the writes.",
    ),
    _device(
        "util_percent",
        Kind.GAUGE,
        Unit.PERCENT,
        "Share of time in which the device had something to do.",
        Levels(80, 95),
    ),
    _device(
        "queue_length", Kind.GAUGE, Unit.COUNT, "Reads and writes under way, mean over the time."
    ),
    _partition("total_bytes", Kind.CAPACITY, Unit.BYTES, "Size of the filesystem."),
    _partition("used_bytes", Kind.GAUGE, Unit.BYTES, "Space in use."),
    _partition("free_bytes", Kind.GAUGE, Unit.BYTES, "Space that users other than root can fill."),
    _partition(
        "percent",
        Kind.GAUGE,
        Unit.PERCENT,
        "Share of the space that users can have that is in use, as df says it.",
        _FULL,
    ),
    _partition(
        "inodes_percent",
        Kind.GAUGE,
        Unit.PERCENT,
        "Share of inodes in use, unknown where the filesystem makes them as needed.",
        _FULL,
    ),
    _partition("fstype", Kind.STATE, Unit.NONE, "Type of the filesystem."),
    _partition("device", Kind.STATE, Unit.NONE, "What is mounted there."),
    _partition("read_only", Kind.STATE, Unit.NONE, "Whether it can only be read."),
)

_TOTALS = ("read_bytes", "write_bytes", "read_count", "write_count")
# Name of the rate by the counter it comes from.
_RATES = {
    "read_bytes": "read_bytes_per_sec",
    "write_bytes": "write_bytes_per_sec",
    "read_count": "read_iops",
    "write_count": "write_iops",
}
_NO_DEVICE: Mapping[str, float | None] = dict.fromkeys(
    (*_RATES.values(), "read_await_ms", "write_await_ms", "util_percent", "queue_length")
)


@dataclass(frozen=True)
class DiskReading:
    """`devices` is None without /proc/diskstats, `blocks` without /sys/block."""

    devices: Mapping[str, DeviceCounters] | None
    blocks: Blocks | None
    filesystems: list[tuple[Mount, Usage | None]]


def open_disk(host: Host, occasion: Occasion) -> Callable[[], DiskReading]:
    from metrics.kernel import procfs, sysfs
    from metrics.kernel.filesystems import Filesystems

    diskstats = procfs.optional(procfs.diskstats, host)
    filesystems = procfs.optional(Filesystems, host)
    blocks = sysfs.Remembered(lambda names: sysfs.block_devices(host, names))
    if diskstats() is None and filesystems() is None:
        raise NoData("There is neither a diskstats nor a mountinfo in this /proc.")

    def read() -> DiskReading:
        devices = diskstats()
        return DiskReading(
            devices, blocks(devices.keys()) if devices else None, filesystems() or []
        )

    return read


def document(now: DiskReading, before: DiskReading | None, elapsed: float | None) -> Document:
    devices, blocks = now.devices or {}, now.blocks
    old = (before.devices or {}) if before else {}
    shown: dict[str, Mapping[str, float | None]] = {}
    for name, counters in devices.items() if blocks else ():
        if blocks and name in blocks.whole and (name in blocks.hardware or any(counters)):
            shown[name] = _device_document(counters, old.get(name), elapsed)
    hardware = [name for name in devices if name in blocks.hardware] if blocks else None
    return {
        **_totals(devices, shown, hardware, before),
        "devices": shown,
        "partitions": {m.point: _partition_document(m, usage) for m, usage in now.filesystems},
    }


def _totals(
    devices: Mapping[str, DeviceCounters],
    shown: Mapping[str, Mapping[str, float | None]],
    hardware: list[str] | None,
    before: DiskReading | None,
) -> Document:
    """Sums over the devices with hardware; all None when it is unknown which these are."""
    if hardware is None:
        return dict.fromkeys((*_TOTALS, *_RATES.values()))
    totals: Document = {
        name: sum(getattr(devices[device], name) for device in hardware) for name in _TOTALS
    }
    for name in _RATES.values():
        values = [shown[device][name] for device in hardware]
        totals[name] = _sum_of_known(values) if values or not before else 0.0
    return totals


def _sum_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None


def _device_document(
    now: DeviceCounters, before: DeviceCounters | None, elapsed: float | None
) -> Mapping[str, float | None]:
    grown = growths(now, before)
    if grown is None or not elapsed or elapsed <= 0:
        return dict(_NO_DEVICE)
    reads, read_bytes, read_ms, writes, write_bytes, write_ms, busy_ms, weighted_ms = grown
    elapsed_ms = elapsed * 1000
    return {
        "read_bytes_per_sec": round(read_bytes / elapsed, 3),
        "write_bytes_per_sec": round(write_bytes / elapsed, 3),
        "read_iops": round(reads / elapsed, 3),
        "write_iops": round(writes / elapsed, 3),
        "read_await_ms": round(read_ms / reads, 3) if reads else None,
        "write_await_ms": round(write_ms / writes, 3) if writes else None,
        # The kernel rounds busy time to its own ticks, which can exceed the time that passed.
        "util_percent": min(100.0, round(100 * busy_ms / elapsed_ms, 2)),
        "queue_length": round(weighted_ms / elapsed_ms, 3),
    }


def _partition_document(mount: Mount, usage: Usage | None) -> Document:
    section: Document = dict.fromkeys(
        ("total_bytes", "used_bytes", "free_bytes", "percent", "inodes_percent")
    )
    if usage is not None:
        used = usage.total - usage.free
        inodes = usage.inodes - usage.inodes_free
        section = {
            "total_bytes": usage.total,
            "used_bytes": used,
            "free_bytes": usage.available,
            "percent": percent(used, used + usage.available),
            "inodes_percent": percent(inodes, inodes + usage.inodes_available),
        }
    return {
        **section,
        "fstype": mount.fstype,
        "device": mount.device,
        "read_only": mount.read_only,
    }


COLLECTOR = Collector("disk", FIELDS, open_disk, document)
