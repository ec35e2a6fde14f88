"""Paging: what moves between memory, disks and swap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import Collector, Document, Occasion, missing_file_is_no_data, rate
from metrics.collectors.fields import Field, Kind, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host


def _rate(name: str, unit: Unit, description: str, lines: str) -> Field:
    path = f"memory_bandwidth.{name}_per_sec"
    return Field(path, Kind.RATE, unit, description, f"/proc/vmstat: {lines}")


# The kernel counts each page twice: by who took it, which leaves out what a control group at its
# limit takes, and since Linux 5.8 by its kind, which does not (mm/vmscan.c, shrink_inactive_list).
_STOLEN_BY_KIND = ("pgsteal_anon", "pgsteal_file")
_STOLEN_BY_WHO = ("pgsteal_kswapd", "pgsteal_direct")

FIELDS = (
    _rate("pgpgin", Unit.KIB_PER_SECOND, "Data read from block devices.", "pgpgin"),
    _rate("pgpgout", Unit.KIB_PER_SECOND, "Data written to block devices.", "pgpgout"),
    _rate("pswpin", Unit.PER_SECOND, "Pages read back from swap.", "pswpin"),
    _rate("pswpout", Unit.PER_SECOND, "Pages written to swap.", "pswpout"),
    _rate("pgfault", Unit.PER_SECOND, "Page faults, minor and major.", "pgfault"),
    _rate("pgmajfault", Unit.PER_SECOND, "Page faults that had to wait for a disk.", "pgmajfault"),
    _rate("oom_kills", Unit.PER_SECOND, "Processes killed for want of memory.", "oom_kill"),
    _rate(
        "pgscan_direct",
        Unit.PER_SECOND,
        "Pages that programs had to look through to get memory.",
        "pgscan_direct",
    ),
    _rate(
        "pgsteal",
        Unit.PER_SECOND,
        "Pages taken from caches and programs, also where a control group is at its limit.",
        f"{' + '.join(_STOLEN_BY_KIND)}, else {' + '.join(_STOLEN_BY_WHO)}",
    ),
    _rate(
        "compact_stall",
        Unit.PER_SECOND,
        "Times a program waited while memory was put together to larger pieces.",
        "compact_stall",
    ),
)

# Rates of one line of /proc/vmstat each.
_PLAIN = {
    "pgpgin_per_sec": "pgpgin",
    "pgpgout_per_sec": "pgpgout",
    "pswpin_per_sec": "pswpin",
    "pswpout_per_sec": "pswpout",
    "pgfault_per_sec": "pgfault",
    "pgmajfault_per_sec": "pgmajfault",
    "oom_kills_per_sec": "oom_kill",
    "pgscan_direct_per_sec": "pgscan_direct",
    "compact_stall_per_sec": "compact_stall",
}


@dataclass(frozen=True)
class PagingReading:
    """Counters of /proc/vmstat by name, None where this kernel has no such line."""

    lines: dict[str, int | None]


def open_paging(host: Host, occasion: Occasion) -> Callable[[], PagingReading]:
    from metrics.kernel import procfs

    with missing_file_is_no_data():
        vmstat = procfs.vmstat(host, (*_PLAIN.values(), *_STOLEN_BY_KIND, *_STOLEN_BY_WHO))
    return lambda: PagingReading(vmstat())


def document(now: PagingReading, before: PagingReading | None, elapsed: float | None) -> Document:
    old = before.lines if before else dict.fromkeys(now.lines)
    section: Document = {
        name: rate(now.lines[line], old[line], elapsed) for name, line in _PLAIN.items()
    }
    section["pgsteal_per_sec"] = rate(_stolen(now.lines), _stolen(old), elapsed)
    return section


def _stolen(lines: dict[str, int | None]) -> int | None:
    for names in (_STOLEN_BY_KIND, _STOLEN_BY_WHO):
        counts = [count for line in names if (count := lines[line]) is not None]
        if counts:
            return sum(counts)
    return None


COLLECTOR = Collector("memory_bandwidth", FIELDS, open_paging, document)
