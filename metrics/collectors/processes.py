"""The processes that use most CPU and most memory, now and then."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors import cpu, pressure
from metrics.collectors.base import Collector, Document, Json, Occasion, missing_file_is_no_data
from metrics.collectors.fields import Field, Kind, Level, Unit, judge

if TYPE_CHECKING:
    from metrics.kernel.host import Host
    from metrics.kernel.processes import Process

LOOK_SECONDS = 30.0
ALARM_SECONDS = 10.0
MOST = 5
_SOURCE = "/proc/[pid]/stat"
# What makes a look worth its cost although the last one was only a moment ago.
_ALARMS = tuple(
    field
    for field in (*cpu.FIELDS, *pressure.FIELDS)
    if field.levels and (field.path == "cpu.usage_percent" or field.path.startswith("pressure."))
)


def _fields(table: str, of: str) -> tuple[Field, ...]:
    def state(name: str, unit: Unit, description: str, source: str = _SOURCE) -> Field:
        return Field(f"processes.{table}.*.{name}", Kind.STATE, unit, description, source)

    return (
        state("pid", Unit.NONE, f"Number of a process with {of}; * is its rank from 1 on."),
        state("name", Unit.NONE, f"Name of a process with {of}, without its command line."),
        state("user", Unit.NONE, f"Who runs a process with {of}.", "/etc/passwd"),
        state(
            "cpu_percent",
            Unit.PERCENT,
            f"Share of all CPUs' time since the look before that went to a process with {of}.",
        ),
        state("rss_bytes", Unit.BYTES, f"Memory in use by a process with {of}, shared included."),
    )


FIELDS = (*_fields("top_cpu", "high CPU usage"), *_fields("top_memory", "much memory"))


@dataclass(frozen=True)
class Shown:
    """A process that made it into a table; `cpu_percent` is None for one that is new."""

    process: Process
    user: str | None
    cpu_percent: float | None


@dataclass(frozen=True)
class ProcessesReading:
    """Both tables, highest first; without any process when it was not the time to look."""

    top_cpu: Sequence[Shown] = ()
    top_memory: Sequence[Shown] = ()


class _Looks:
    """Looks at all processes every 30 s; every 10 s while samples are alarming, and at once.

    A look costs several times the rest of a sample, which an overloaded host cannot spare.
    """

    def __init__(self, host: Host, occasion: Occasion) -> None:
        from metrics.kernel import cpus, processes

        self._occasion = occasion
        self._walk = processes.Walk(host)
        self._users = processes.Users(host)
        self._online = cpus.online_cpus(host)
        self._known: dict[tuple[int, int], Process] = {}
        self._looks = 0
        self._looked = -LOOK_SECONDS

    def __call__(self) -> ProcessesReading:
        now = time.monotonic()
        found = self._walk() if self._is_time(now) else None
        if found is None:
            return ProcessesReading()
        self._looks, self._looked = self._looks + 1, now
        before, self._known = self._known, {(one.pid, one.started): one for one in found}
        capacity = os.sysconf("SC_CLK_TCK") * max(1, len(self._online()))
        shares = {
            one.pid: _cpu_percent(one, before.get(key), capacity)
            for key, one in self._known.items()
        }
        busiest = _highest(found, lambda one: shares[one.pid])
        largest = _highest(found, lambda one: one.rss_bytes)
        owners = self._users.of({one.pid for one in (*busiest, *largest)})
        return ProcessesReading(
            *(
                [Shown(one, owners.get(one.pid), shares[one.pid]) for one in chosen]
                for chosen in (busiest, largest)
            )
        )

    def _is_time(self, now: float) -> bool:
        # The second look follows the first at once: only then can CPU usage be said.
        if self._looks < 2 or self._walk.is_under_way:
            return True
        since = now - self._looked
        return since >= LOOK_SECONDS or (
            since >= ALARM_SECONDS and is_alarming(self._occasion.previous)
        )


def open_processes(host: Host, occasion: Occasion) -> Callable[[], ProcessesReading]:
    with missing_file_is_no_data():
        return _Looks(host, occasion)


def is_alarming(document: Mapping[str, Json]) -> bool:
    """Whether CPU usage or a pressure is critical in a snapshot's document."""
    for field in _ALARMS:
        value: Json = document
        for name in field.path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if judge(field.levels, value) is Level.CRITICAL:
            return True
    return False


def _cpu_percent(now: Process, before: Process | None, ticks_per_second: float) -> float | None:
    if before is None or now.moment <= before.moment or now.ticks < before.ticks:
        return None
    ticks = (now.moment - before.moment) * ticks_per_second
    return min(100.0, round(100 * (now.ticks - before.ticks) / ticks, 2))


def _highest(found: Sequence[Process], value: Callable[[Process], float | None]) -> list[Process]:
    return [
        one for one in heapq.nlargest(MOST, found, key=lambda one: value(one) or 0) if value(one)
    ]


def document(
    now: ProcessesReading, before: ProcessesReading | None, elapsed: float | None
) -> Document:
    return {"top_cpu": _table(now.top_cpu), "top_memory": _table(now.top_memory)}


def _table(rows: Sequence[Shown]) -> Document:
    return {
        str(rank): {
            "pid": row.process.pid,
            "name": row.process.name,
            "user": row.user,
            "cpu_percent": row.cpu_percent,
            "rss_bytes": row.process.rss_bytes,
        }
        for rank, row in enumerate(rows, 1)
    }


COLLECTOR = Collector("processes", FIELDS, open_processes, document)
