"""Numbers as people read them: at most 4 significant digits, and always a unit."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from metrics.collectors.fields import Unit

IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
SI = ("", "k", "M", "G", "T", "P")
NOT_AVAILABLE = "—"


@dataclass(frozen=True)
class Scale:
    """How numbers of a unit are written, here and in the browser.

    The value times `factor` is divided by `base` until it is below it; each division takes the
    next of `prefixes`, which stand before `suffix`. Without `base` nothing is divided.
    """

    suffix: str
    base: int = 0
    prefixes: tuple[str, ...] = ("",)
    factor: float = 1.0


SCALES: dict[Unit, Scale] = {
    **{unit: Scale(unit.value) for unit in Unit},
    Unit.BYTES: Scale("", 1024, IEC),
    Unit.BYTES_PER_SECOND: Scale("/s", 1024, IEC),
    Unit.KIB_PER_SECOND: Scale("/s", 1024, IEC, factor=1024),
    Unit.COUNT: Scale("", 1000, SI),
    Unit.PER_SECOND: Scale("/s", 1000, SI),
    Unit.NONE: Scale("", 1000, SI),
}


class Text(NamedTuple):
    """A number and its unit, apart because the unit is set smaller."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".strip()


def text_of(value: Any, unit: Unit) -> Text:
    """Return `value` in words; "—" where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return Text(NOT_AVAILABLE, "")
    scale = SCALES[unit]
    number = value * scale.factor
    steps = 0
    while scale.base and abs(number) >= scale.base and steps < len(scale.prefixes) - 1:
        number /= scale.base
        steps += 1
    return Text(_digits(number), scale.prefixes[steps] + scale.suffix)


def megabytes(size: float) -> str:
    """Return bytes as the settings reckon them, in MB of a million: "812 MB", "0.4 MB"."""
    number = size / 1_000_000
    return f"{number:,.0f} MB" if number >= 10 or number == 0 else f"{max(number, 0.1):.1f} MB"


def duration(seconds: float | None) -> str:
    """Return a time span in its one or two largest units: "12 d 4 h", "40 s"."""
    if seconds is None:
        return NOT_AVAILABLE
    left = int(seconds)
    parts: list[str] = []
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if left >= size or (size == 1 and not parts):
            parts.append(f"{left // size} {name}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2])


def _digits(value: float) -> str:
    size = abs(value)
    decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
    return f"{value:.{decimals}f}"
