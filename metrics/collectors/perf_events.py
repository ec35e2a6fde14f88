"""Performance counters: the CPUs' own events and the kernel's, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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


def _count(name: str, description: str) -> Field:
    return Field(f"perf_events.{name}", Kind.DELTA, Unit.COUNT, description, _SOURCE)


def _ratio(name: str, unit: Unit, description: str, of: str, scale: float = 1.0) -> Field:
    numerator, denominator = (f"perf_events.{part}" for part in of.split(" / "))
    ratio = Ratio(numerator, denominator, scale)
    return Field(f"perf_events.{name}", Kind.RATIO, unit, description, _SOURCE, ratio=ratio)


def _share(name: str, description: str, of: str) -> Field:
    return _ratio(f"{name}_percent", Unit.PERCENT, description, of, 100.0)


HARDWARE = (
    _count("cycles", "CPU cycles since the last sample, of CPUs that were not idle."),
    _count("instructions", "Instructions completed since the last sample."),
    _count("branch_instructions", "Branches since the last sample."),
    _count("branch_misses", "Branches that the CPU predicted wrongly."),
    _count("cache_references", "Accesses to the last cache level since the last sample."),
    _count("cache_misses", "Accesses that the last cache level could not serve."),
    _count("l1d_loads", "Loads from the first level's data cache."),
    _count("l1d_load_misses", "Loads that the first level's data cache could not serve."),
    _count("llc_loads", "Loads that came to the last cache level."),
    _count("llc_load_misses", "Loads that went past the last cache level to memory."),
    _count("dtlb_loads", "Loads whose address was looked up in the data TLB."),
    _count("dtlb_load_misses", "Loads whose address was not in the data TLB."),
    _count("itlb_load_misses", "Fetches of code whose address was not in the instruction TLB."),
    _count("stalled_cycles_frontend", "Cycles in which no instruction was ready to begin."),
    _count("stalled_cycles_backend", "Cycles in which nothing went on for want of data or units."),
)
SOFTWARE = (
    _count("context_switches", "Switches from one task to another since the last sample."),
    _count("cpu_migrations", "Tasks moved to another CPU since the last sample."),
    _count("page_faults", "Page faults since the last sample, minor and major."),
    _count("minor_faults", "Page faults that memory could serve."),
    _count("major_faults", "Page faults that had to wait for a disk."),
)
SECONDS = (
    Field(
        "perf_events.counted_seconds",
        Kind.DELTA,
        Unit.SECONDS,
        "Time between the two readings that the counts are of.",
        "monotonic clock",
    ),
    Field(
        "perf_events.busy_seconds",
        Kind.DELTA,
        Unit.SECONDS,
        "Time that the counted CPUs were not idle, added up.",
        "/proc/stat",
    ),
)
RATIOS = (
    _ratio("ipc", Unit.NONE, "Instructions completed per cycle.", "instructions / cycles"),
    _share(
        "cache_miss",
        "Share of accesses that the last cache level could not serve.",
        "cache_misses / cache_references",
    ),
    _share(
        "branch_miss",
        "Share of branches that the CPU predicted wrongly.",
        "branch_misses / branch_instructions",
    ),
    _share(
        "l1d_load_miss",
        "Share of loads that the first level's data cache could not serve.",
        "l1d_load_misses / l1d_loads",
    ),
    _share(
        "llc_load_miss",
        "Share of the last cache level's loads that went to memory.",
        "llc_load_misses / llc_loads",
    ),
    _share(
        "dtlb_load_miss",
        "Share of loads whose address was not in the data TLB.",
        "dtlb_load_misses / dtlb_loads",
    ),
    _share(
        "stalled_frontend",
        "Share of cycles in which no instruction was ready to begin.",
        "stalled_cycles_frontend / cycles",
    ),
    _share(
        "stalled_backend",
        "Share of cycles in which nothing went on for want of data or units.",
        "stalled_cycles_backend / cycles",
    ),
    _ratio(
        "instructions_per_sec",
        Unit.PER_SECOND,
        "Instructions completed per second, on all counted CPUs.",
        "instructions / counted_seconds",
    ),
    _ratio(
        "cache_misses_per_kilo_instruction",
        Unit.NONE,
        "Misses of the last cache level per thousand instructions.",
        "cache_misses / instructions",
        1_000,
    ),
    _ratio(
        "branch_misses_per_kilo_instruction",
        Unit.NONE,
        "Wrongly predicted branches per thousand instructions.",
        "branch_misses / instructions",
        1_000,
    ),
    _ratio(
        "effective_ghz",
        Unit.GIGAHERTZ,
        "Frequency at which the CPUs really ran while they were not idle.",
        "cycles / busy_seconds",
        1e-9,
    ),
)
PER_CPU = (
    _count("per_cpu.*.cycles", "Cycles of one CPU since the last sample."),
    _count("per_cpu.*.instructions", "Instructions that one CPU completed."),
    _ratio(
        "per_cpu.*.ipc",
        Unit.NONE,
        "Instructions per cycle of one CPU.",
        "per_cpu.*.instructions / per_cpu.*.cycles",
    ),
)
FIELDS = (
    *HARDWARE,
    *SOFTWARE,
    *SECONDS,
    *RATIOS,
    *PER_CPU,
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
        "Share of the time in which the events that had least of it were counted.",
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


def _name(one: Field) -> str:
    return one.path.removeprefix("perf_events.")


_COUNTS = tuple(map(_name, (*HARDWARE, *SOFTWARE, *SECONDS)))
_RATIOS = {
    _name(one): (
        ratio.numerator.removeprefix("perf_events."),
        ratio.denominator.removeprefix("perf_events."),
        ratio.scale,
    )
    for one in RATIOS
    if (ratio := one.ratio)
}
_DIGITS = 6  # of ratios, significant
# The others are left out where they cannot be counted: their nulls would be a tenth of a snapshot.
_SCHEMA = """
    cycles instructions ipc cache_references cache_misses cache_miss_percent branch_instructions
    branch_misses branch_miss_percent dtlb_load_misses counted_seconds
"""
_ALWAYS = {*_SCHEMA.split(), *map(_name, SOFTWARE)}
_NEEDED = {"busy_seconds": "cycles"}

Numbers = dict[str, float]


@dataclass(frozen=True)
class PerfReading:
    """`selection` is the setting; `counts` is None when nothing can be counted for `reason`.

    `busy` holds for each counted CPU the seconds since boot that it was not idle, where cycles are
    counted.
    """

    reason: str | None
    selection: str = ""
    counts: Counts | None = None
    cpus: str | None = None
    busy: Mapping[int, float] = field(default_factory=dict)


def open_perf_events(host: Host, occasion: Occasion) -> Callable[[], PerfReading]:
    from metrics.kernel import cpus, perf, procfs

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
        # One reason often holds for many events.
        reasons += dict.fromkeys(why.sentence for why in counts.missing.values())
        counted = {cpu for cpu, _ in counts.groups}
        busy = {}
        if (cpu := occasion.readings.get("cpu")) and "cycles" not in counts.missing:
            busy = procfs.busy_seconds(cpu.stat, counted)
        text = cpus.format_cpus(counted)
        return PerfReading(" ".join(reasons) or None, selection, counts, text or None, busy)

    return read


def document(now: PerfReading, before: PerfReading | None, elapsed: float | None) -> Document:
    grown: Numbers = {}
    per_cpu: dict[str, Document] = {}
    running = None
    missing = now.counts.missing if now.counts else {}
    if now.counts and before and before.counts and before.selection == now.selection and elapsed:
        grown, each, running = _growth(now.counts, before.counts)
        if grown:
            grown |= {"counted_seconds": round(elapsed, 6)}
        if busy := _busy(now, before):
            grown |= {"busy_seconds": busy}
        per_cpu = {
            str(cpu): {
                "cycles": values.get("cycles"),
                "instructions": values.get("instructions"),
                "ipc": _quotient(values, "instructions", "cycles", 1.0),
            }
            for cpu, values in sorted(each.items())
        }
    counted = (
        {name for group in now.counts.groups.values() for name in group.values}
        if now.counts
        else set()
    )
    return {
        **{n: grown.get(n) for n in _COUNTS if n in _ALWAYS or _NEEDED.get(n, n) in counted},
        **{
            name: _quotient(grown, *of)
            for name, of in _RATIOS.items()
            if name in _ALWAYS or _NEEDED.get(of[0], of[0]) in counted
        },
        "per_cpu": per_cpu,
        "available": now.cpus is not None,
        "reason": now.reason,
        "cpus": now.cpus,
        "running_percent": running,
        "events": {name: why.words for name, why in missing.items()},
    }


def _growth(now: Counts, before: Counts) -> tuple[Numbers, dict[int, Numbers], float | None]:
    """Growth of each event: over the CPUs, of those of group "core" on each CPU, and the share.

    Counts are scaled up to the time in which a group had no counter; the share is that of the
    group that had least. A CPU that came online counts from the next sample on. An event that is
    not known on each of the CPUs is not known at all: a sum with a hole would look like a calm
    machine.
    """
    sums: Numbers = {}
    known: dict[str, int] = {}
    per_cpu: dict[int, Numbers] = {}
    times: dict[str, list[int]] = {}
    both = now.cpus & before.cpus
    counted = {cpu for cpu, _ in now.groups.keys() | before.groups.keys()} & both
    for (cpu, name), new in now.groups.items():
        old = before.groups.get((cpu, name))
        if cpu not in both or old is None or new.serial != old.serial:
            continue
        enabled, running = new.enabled - old.enabled, new.running - old.running
        time = times.setdefault(name, [0, 0])
        time[0] += enabled
        time[1] += running
        if running <= 0:
            continue
        scale = enabled / running
        values = {event: (v - old.values[event]) * scale for event, v in new.values.items()}
        for event, value in values.items():
            sums[event] = sums.get(event, 0.0) + value
            known[event] = known.get(event, 0) + 1
        if name in _ONE_BY_ONE:
            per_cpu.setdefault(cpu, {}).update((e, round(v)) for e, v in values.items())
    shares = [percent(running, enabled) for enabled, running in times.values()]
    return (
        {event: round(value) for event, value in sums.items() if known[event] == len(counted)},
        per_cpu,
        min((share for share in shares if share is not None), default=None),
    )


# The group of cycles and instructions, and the one that instructions have where they do not fit.
_ONE_BY_ONE = ("core", "instructions")


def _busy(now: PerfReading, before: PerfReading) -> float | None:
    """The seconds that the counted CPUs were not idle; None unless it is known of each."""
    if not now.busy or now.busy.keys() != before.busy.keys():
        return None
    grown = [seconds - before.busy[cpu] for cpu, seconds in now.busy.items()]
    # Idle time may step back (proc(5)), and then busy time jumps ahead: never below 0 though.
    return round(sum(grown), 6) if min(grown) >= 0 else None


def _quotient(
    values: Mapping[str, float], numerator: str, denominator: str, scale: float
) -> float | None:
    part, whole = values.get(numerator), values.get(denominator)
    if part is None or not whole:
        return None
    return float(f"{scale * part / whole:.{_DIGITS}g}")


COLLECTOR = Collector("perf_events", FIELDS, open_perf_events, document)
