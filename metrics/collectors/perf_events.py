"""Performance counters: the kernel's own events; the CPUs' are declared and not counted yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import (
    Collector,
    Document,
    Occasion,
    missing_file_is_no_data,
    percent,
)
from metrics.collectors.fields import Field, Kind, Ratio, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host
    from metrics.kernel.perf import Counts

_SOURCE = "perf_event_open"
_HARDWARE = "Hardware counters are not counted by this version."


def _count(name: str, description: str) -> Field:
    return Field(f"perf_events.{name}", Kind.DELTA, Unit.COUNT, description, _SOURCE)


def _ratio(name: str, unit: Unit, description: str, numerator: str, denominator: str) -> Field:
    scale = 100.0 if unit is Unit.PERCENT else 1.0
    ratio = Ratio(f"perf_events.{numerator}", f"perf_events.{denominator}", scale)
    return Field(f"perf_events.{name}", Kind.RATIO, unit, description, _SOURCE, ratio=ratio)


HARDWARE = (
    _count("cycles", "CPU cycles since the last sample."),
    _count("instructions", "Instructions completed since the last sample."),
    _count("cache_references", "Accesses to the last cache level since the last sample."),
    _count("cache_misses", "Accesses that the last cache level could not serve."),
    _count("branch_instructions", "Branches since the last sample."),
    _count("branch_misses", "Branches that the CPU predicted wrongly."),
    _count("dtlb_load_misses", "Loads whose address was not in the data TLB."),
)
SOFTWARE = (
    _count("context_switches", "Switches from one task to another since the last sample."),
    _count("cpu_migrations", "Tasks moved to another CPU since the last sample."),
    _count("page_faults", "Page faults since the last sample, minor and major."),
    _count("minor_faults", "Page faults that memory could serve."),
    _count("major_faults", "Page faults that had to wait for a disk."),
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
    *HARDWARE,
    *SOFTWARE,
    *RATIOS,
    Field(
        "perf_events.available",
        Kind.STATE,
        Unit.NONE,
        "Whether any event is counted.",
        _SOURCE,
    ),
    Field(
        "perf_events.reason",
        Kind.STATE,
        Unit.NONE,
        "Why not everything is counted, and what would help.",
        _SOURCE,
    ),
    Field("perf_events.cpus", Kind.STATE, Unit.NONE, "The CPUs that are counted.", _SOURCE),
    Field(
        "perf_events.running_percent",
        Kind.GAUGE,
        Unit.PERCENT,
        "Share of the time in which the events had a counter, to which counts are scaled up.",
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
_NAMES = tuple(f.path.removeprefix("perf_events.") for f in (*HARDWARE, *SOFTWARE, *RATIOS))


@dataclass(frozen=True)
class PerfReading:
    """`selection` is the setting; `counts` is None when nothing can be counted for `reason`."""

    reason: str | None
    selection: str = ""
    counts: Counts | None = None
    cpus: str | None = None


def open_perf_events(host: Host, occasion: Occasion) -> Callable[[], PerfReading]:
    from metrics.kernel import cpus, perf

    with missing_file_is_no_data():
        online = cpus.online_cpus(host)
    counters = perf.Counters(host)

    def read() -> PerfReading:
        selection = occasion.features.get("perf_events_cpus", "all")
        if not occasion.features.get("perf_events_enabled", True):
            counters.close()
            return PerfReading("Switched off in the settings.")
        here = online()
        try:
            selected = here if selection == "all" else cpus.parse_cpus(selection)
        except ValueError:
            counters.close()
            return PerfReading(f"The setting perf_events_cpus is no list of CPUs: {selection!r}.")
        counts = counters.read(here & selected)
        absent = cpus.format_cpus(selected - here)
        reasons = [f"Of the selected CPUs {absent} are not online."] if absent else []
        # One reason often holds for all events.
        reasons += [*dict.fromkeys(counts.missing.values()), _HARDWARE]
        counted = cpus.format_cpus({cpu for cpu, _ in counts.groups})
        return PerfReading(" ".join(reasons), selection, counts, counted or None)

    return read


def document(now: PerfReading, before: PerfReading | None, elapsed: float | None) -> Document:
    grown: Mapping[str, int | float | None] = {}
    if now.counts and before and before.counts and before.selection == now.selection:
        grown = dict(_deltas(now.counts, before.counts))
    return {
        **{name: grown.get(name) for name in _NAMES},
        "available": now.cpus is not None,
        "reason": now.reason,
        "cpus": now.cpus,
        "running_percent": grown.get("running_percent"),
        "events": now.counts.missing if now.counts else {},
    }


def _deltas(now: Counts, before: Counts) -> Iterator[tuple[str, int | float | None]]:
    """Growth of each event over the CPUs, scaled up to the time in which it had no counter.

    A CPU that came online counts from the next sample on; one whose group was lost, or never had
    a counter, makes the sum unknown: a sum with a hole would look like a calm machine.
    """
    sums: dict[str, float] = {}
    unknown: set[str] = set()
    enabled = running = 0
    both = now.cpus & before.cpus
    for key in now.groups.keys() | before.groups.keys():
        new, old = now.groups.get(key), before.groups.get(key)
        if key[0] not in both:
            continue
        if new is None or old is None or new.serial != old.serial:
            unknown |= {name for group in (new, old) if group for name in group.values}
            continue
        enabled += (group_enabled := new.enabled - old.enabled)
        running += (group_running := new.running - old.running)
        if group_running <= 0:
            unknown |= new.values.keys()
            continue
        scale = group_enabled / group_running
        for name, value in new.values.items():
            sums[name] = sums.get(name, 0.0) + (value - old.values[name]) * scale
    yield from ((name, round(sums[name])) for name in sums.keys() - unknown)
    yield "running_percent", percent(running, enabled)


COLLECTOR = Collector("perf_events", FIELDS, open_perf_events, document)
