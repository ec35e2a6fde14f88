"""Pressure: the share of time in which tasks waited for CPU, memory or disks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import Collector, Document, NoData, Occasion, rate
from metrics.collectors.fields import Field, Kind, Levels, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host
    from metrics.kernel.pressure import Stall

_WINDOWS = {"avg10": "10 seconds", "avg60": "1 minute", "avg300": "5 minutes"}
_WHO = {"some": "some task", "full": "every task with something to do"}
_WHAT = {"cpu": "a CPU", "memory": "memory", "io": "disks"}
# All tasks of a host cannot wait for a CPU at once: there is no cpu.full (accounting/psi.rst).
_LINES = (("cpu", "some"), ("memory", "some"), ("memory", "full"), ("io", "some"), ("io", "full"))
_LEVELS = {"cpu": Levels(20, 50), "memory": Levels(10, 30), "io": Levels(10, 30)}


def _fields(resource: str, line: str) -> tuple[Field, ...]:
    source = f"/proc/pressure/{resource}: {line}"
    waited = f"Share of time in which {_WHO[line]} waited for {_WHAT[resource]}"

    def share(name: str, kind: Kind, span: str, levels: Levels | None = None) -> Field:
        path = f"pressure.{resource}.{line}_{name}"
        return Field(path, kind, Unit.PERCENT, f"{waited}, {span}.", source, levels)

    return (
        *(
            share(
                name, Kind.GAUGE, f"mean of {span}", _LEVELS[resource] if name == "avg10" else None
            )
            for name, span in _WINDOWS.items()
        ),
        share("stall_percent", Kind.RATE, "since the last sample"),
    )


FIELDS = tuple(field for line in _LINES for field in _fields(*line))


@dataclass(frozen=True)
class PressureReading:
    """Stalls by resource and line."""

    stalls: dict[str, dict[str, Stall]]


def open_pressure(host: Host, occasion: Occasion) -> Callable[[], PressureReading]:
    from metrics.kernel.pressure import pressure

    try:
        read = pressure(host)
    except FileNotFoundError as error:
        reason = f"{error.filename} {error.strerror}"
        raise NoData(f"This kernel does not measure pressure ({reason}).") from error
    return lambda: PressureReading(read())


def document(
    now: PressureReading, before: PressureReading | None, elapsed: float | None
) -> Document:
    section: Document = {}
    for resource, line in _LINES:
        stall = now.stalls[resource].get(line)
        old = before.stalls[resource].get(line) if before else None
        section.setdefault(resource, {}).update(_line(line, stall, old, elapsed))
    return section


def _line(line: str, now: Stall | None, before: Stall | None, elapsed: float | None) -> Document:
    names = (*_WINDOWS, "stall_percent")
    if now is None:
        return {f"{line}_{name}": None for name in names}
    microseconds = rate(now.total, before and before.total, elapsed)
    # The kernel adds stalls up in steps of its own, which can exceed the time that passed.
    stalled = None if microseconds is None else min(100.0, round(microseconds / 10_000, 2))
    values = (now.avg10, now.avg60, now.avg300, stalled)
    return {f"{line}_{name}": value for name, value in zip(names, values, strict=True)}


COLLECTOR = Collector("pressure", FIELDS, open_pressure, document)
