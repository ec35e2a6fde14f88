"""Hardware performance counters: declared, and not counted yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import Collector, Document, Occasion
from metrics.collectors.fields import Field, Kind, Ratio, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host

_SOURCE = "perf_event_open"
_REASON = "Hardware counters are not collected by this version."


def _count(name: str, description: str) -> Field:
    return Field(f"perf_events.{name}", Kind.DELTA, Unit.COUNT, description, _SOURCE)


def _ratio(name: str, unit: Unit, description: str, numerator: str, denominator: str) -> Field:
    scale = 100.0 if unit is Unit.PERCENT else 1.0
    ratio = Ratio(f"perf_events.{numerator}", f"perf_events.{denominator}", scale)
    return Field(f"perf_events.{name}", Kind.RATIO, unit, description, _SOURCE, ratio=ratio)


COUNTS = (
    _count("cycles", "CPU cycles since the last sample."),
    _count("instructions", "Instructions completed since the last sample."),
    _count("cache_references", "Accesses to the last cache level since the last sample."),
    _count("cache_misses", "Accesses that the last cache level could not serve."),
    _count("branch_instructions", "Branches since the last sample."),
    _count("branch_misses", "Branches that the CPU predicted wrongly."),
    _count("dtlb_load_misses", "Loads whose address was not in the data TLB."),
)
RATIOS = (
    _ratio("ipc", Unit.NONE, "Instructions completed per cycle.", "instructions", "cycles"),
    _ratio(
        "cache_miss_percent",
        Unit.PERCENT,
        "Share of accesses that the last cache level could not serve.",
        "cache_misses",
        "cache_references",
    ),
    _ratio(
        "branch_miss_percent",
        Unit.PERCENT,
        "Share of branches that the CPU predicted wrongly.",
        "branch_misses",
        "branch_instructions",
    ),
)
FIELDS = (
    *COUNTS,
    *RATIOS,
    Field(
        "perf_events.available",
        Kind.STATE,
        Unit.NONE,
        "Whether hardware counters are counted.",
        _SOURCE,
    ),
    Field(
        "perf_events.reason",
        Kind.STATE,
        Unit.NONE,
        "Why hardware counters are not counted.",
        _SOURCE,
    ),
    Field(
        "perf_events.events.*",
        Kind.STATE,
        Unit.NONE,
        "Why one event is not counted.",
        _SOURCE,
    ),
)


@dataclass(frozen=True)
class PerfReading:
    reason: str


def open_perf_events(host: Host, occasion: Occasion) -> Callable[[], PerfReading]:
    return lambda: PerfReading(_REASON)


def document(now: PerfReading, before: PerfReading | None, elapsed: float | None) -> Document:
    values = (*COUNTS, *RATIOS)
    section: Document = {field.path.removeprefix("perf_events."): None for field in values}
    return {**section, "available": False, "reason": now.reason, "events": {}}


COLLECTOR = Collector("perf_events", FIELDS, open_perf_events, document)
