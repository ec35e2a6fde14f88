"""CPU: time by mode, per core, load, frequency, temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import (
    Collector,
    Document,
    Occasion,
    missing_file_is_no_data,
    percent,
    rate,
)
from metrics.collectors.fields import Field, Kind, Levels, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host
    from metrics.kernel.procfs import Stat

SLOW_SECONDS = 10.0


def _share(
    name: str, description: str, source: str = "/proc/stat", levels: Levels | None = None
) -> Field:
    return Field(f"cpu.{name}", Kind.GAUGE, Unit.PERCENT, description, source, levels)


def _load(name: str, minutes: str, levels: Levels | None = None) -> Field:
    return Field(
        f"cpu.load_avg_{name}",
        Kind.GAUGE,
        Unit.NONE,
        f"Tasks running, waiting for a CPU or in uninterruptible sleep, mean of {minutes}.",
        "/proc/loadavg",
        levels,
    )


def _stat(name: str, kind: Kind, unit: Unit, description: str) -> Field:
    return Field(f"cpu.{name}", kind, unit, description, "/proc/stat")


FIELDS = (
    _share(
        "usage_percent",
        "Share of CPU time that was neither idle nor waiting for disks.",
        levels=Levels(80, 95),
    ),
    _share("user_percent", "Share of CPU time in programs, guests of this host included."),
    _share("nice_percent", "Share of CPU time in programs of lowered priority."),
    _share("system_percent", "Share of CPU time in the kernel."),
    _share("idle_percent", "Share of CPU time with nothing to do."),
    _share(
        "iowait_percent",
        "Share of CPU time idle while a task waited for a disk.",
        levels=Levels(20, 40),
    ),
    _share("irq_percent", "Share of CPU time in hardware interrupts."),
    _share("softirq_percent", "Share of CPU time in the kernel's deferred interrupt work."),
    _share(
        "steal_percent",
        "Share of CPU time that the hypervisor gave to others.",
        levels=Levels(5, 20),
    ),
    _share("guest_percent", "Share of CPU time in virtual machines, already counted as user."),
    _share("per_core.*", "Share of one CPU's time that was neither idle nor waiting for disks."),
    Field(
        "cpu.frequency_mhz",
        Kind.GAUGE,
        Unit.MEGAHERTZ,
        "Clock frequency, mean of the CPUs.",
        "/sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq, else /proc/cpuinfo",
    ),
    _load("1m", "1 minute", Levels(1.5, 3, per="cpu.core_count")),
    _load("5m", "5 minutes"),
    _load("15m", "15 minutes"),
    Field(
        "cpu.temperature_celsius",
        Kind.GAUGE,
        Unit.CELSIUS,
        "Temperature of the hottest CPU package.",
        "/sys/class/hwmon, else /sys/class/thermal",
        Levels(80, 95),
    ),
    _stat(
        "context_switches_per_sec",
        Kind.RATE,
        Unit.PER_SECOND,
        "Switches from one task to another.",
    ),
    _stat("interrupts_per_sec", Kind.RATE, Unit.PER_SECOND, "Hardware interrupts served."),
    _stat("forks_per_sec", Kind.RATE, Unit.PER_SECOND, "Processes and threads created."),
    _stat("procs_running", Kind.GAUGE, Unit.COUNT, "Tasks that run or could run."),
    _stat("procs_blocked", Kind.GAUGE, Unit.COUNT, "Tasks that wait for a disk."),
    _stat("core_count", Kind.CAPACITY, Unit.COUNT, "Logical CPUs that are online."),
)

# Columns of /proc/stat that add up to all time; guest and guest_nice are inside user and nice.
_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_IDLE, _IOWAIT, _GUEST = 3, 4, 8


@dataclass(frozen=True)
class CpuReading:
    stat: Stat
    load: tuple[float, float, float] | None
    frequency_mhz: float | None
    temperature_celsius: float | None
    present: int = 0


def open_cpu(host: Host, occasion: Occasion) -> Callable[[], CpuReading]:
    from metrics.kernel import procfs, slow, sysfs

    with missing_file_is_no_data():
        stat = procfs.stat(host)
    load = procfs.optional(procfs.loadavg, host)
    frequency = slow.Periodic(lambda: sysfs.frequency_mhz(host), SLOW_SECONDS)
    # A sensor behind I²C takes milliseconds to seconds.
    temperature = slow.Periodic(lambda: sysfs.temperature_celsius(host), SLOW_SECONDS)
    present = sysfs.present_cpus(host)
    slow.wait_for_first([frequency, temperature])

    def read() -> CpuReading:
        return CpuReading(stat(), load(), frequency.latest(), temperature.latest(), present)

    return read


def document(now: CpuReading, before: CpuReading | None, elapsed: float | None) -> Document:
    stat, old = now.stat, before.stat if before else None
    one, five, fifteen = now.load or (None, None, None)
    frequency, temperature = now.frequency_mhz, now.temperature_celsius
    return {
        **_mode_shares(_growth_of_all(stat, old)),
        "per_core": _per_core(now, old),
        "frequency_mhz": None if frequency is None else round(frequency, 1),
        "load_avg_1m": one,
        "load_avg_5m": five,
        "load_avg_15m": fifteen,
        "temperature_celsius": None if temperature is None else round(temperature, 1),
        "context_switches_per_sec": rate(
            stat.context_switches, old and old.context_switches, elapsed
        ),
        "interrupts_per_sec": rate(stat.interrupts, old and old.interrupts, elapsed),
        "forks_per_sec": rate(stat.forks, old and old.forks, elapsed),
        "procs_running": stat.running,
        "procs_blocked": stat.blocked,
        "core_count": len(stat.cores) or None,
    }


def _growth_of_all(now: Stat, before: Stat | None) -> Sequence[int]:
    """Ticks per mode of all CPUs; of those that stayed online when one came or went.

    The kernel's sum includes offline CPUs, whose idle time it keeps by another clock: up for three
    hours, it jumped by 53 s of idle when a CPU went, and by 15 s of iowait when it came back
    (get_idle_time in fs/proc/stat.c).
    """
    if before is None or now.cores.keys() == before.cores.keys():
        return _growth(now.total, before.total if before else None)
    stayed = now.cores.keys() & before.cores.keys()
    grown = [_growth(now.cores[number], before.cores[number]) for number in stayed]
    return [sum(column) for column in zip(*grown, strict=True)] or (0,) * len(now.total)


def _mode_shares(grown: Sequence[int]) -> Document:
    whole = sum(grown[:8])
    shares: Document = {
        f"{mode}_percent": percent(ticks, whole) for mode, ticks in zip(_MODES, grown, strict=False)
    }
    shares["guest_percent"] = percent(sum(grown[_GUEST:]), whole)
    shares["usage_percent"] = _usage(grown)
    return shares


def _per_core(now: CpuReading, before: Stat | None) -> list[float | None]:
    """Usage by CPU number; None for a CPU that is offline, or was until now."""
    cores = now.stat.cores
    old = before.cores if before else {}
    length = max(now.present, max(cores, default=-1) + 1)
    shares: list[float | None] = [None] * length
    for number, ticks in cores.items():
        shares[number] = _usage(_growth(ticks, old.get(number)))
    return shares


def _usage(grown: Sequence[int]) -> float | None:
    whole = sum(grown[:8])
    return percent(whole - grown[_IDLE] - grown[_IOWAIT], whole)


def _growth(now: Sequence[int], before: Sequence[int] | None) -> Sequence[int]:
    """Ticks per mode since `before`. Idle and iowait may step back (proc(5)): that counts as 0."""
    if not before:
        return (0,) * len(now)
    return [n - b if n > b else 0 for n, b in zip(now, before, strict=True)]


COLLECTOR = Collector("cpu", FIELDS, open_cpu, document)
