"""Numbers as people read them: at most 4 significant digits, and always a unit."""

import math
from typing import Any, NamedTuple

from metrics.collectors.fields import Unit

IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
SI = ("", "k", "M", "G", "T", "P")
NOT_AVAILABLE = "—"


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
    if unit in {Unit.BYTES, Unit.BYTES_PER_SECOND}:
        number, prefix = _scaled(value, 1024, IEC)
        return Text(number, prefix + ("/s" if unit is Unit.BYTES_PER_SECOND else ""))
    if unit is Unit.KIB_PER_SECOND:
        number, prefix = _scaled(value * 1024, 1024, IEC)
        return Text(number, f"{prefix}/s")
    if unit in {Unit.COUNT, Unit.PER_SECOND, Unit.NONE}:
        number, prefix = _scaled(value, 1000, SI)
        return Text(number, prefix + ("" if unit is Unit.COUNT else unit.value))
    return Text(_digits(value), unit.value)


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


def _scaled(value: float, base: int, prefixes: tuple[str, ...]) -> tuple[str, str]:
    steps = 0
    while abs(value) >= base and steps < len(prefixes) - 1:
        value /= base
        steps += 1
    return _digits(value), prefixes[steps]


def _digits(value: float) -> str:
    size = abs(value)
    decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
    return f"{value:.{decimals}f}"
