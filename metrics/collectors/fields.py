"""What a field of a snapshot is, and the one judgement of its values. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a field's values add up over time."""

    GAUGE = "gauge"
    CAPACITY = "capacity"
    COUNTER = "counter"
    RATE = "rate"
    DELTA = "delta"
    RATIO = "ratio"
    STATE = "state"


class Unit(StrEnum):
    PERCENT = "%"
    BYTES = "bytes"
    BYTES_PER_SECOND = "bytes/s"
    KIB_PER_SECOND = "KiB/s"
    COUNT = "count"
    PER_SECOND = "/s"
    MILLISECONDS = "ms"
    SECONDS = "s"
    MEGAHERTZ = "MHz"
    GIGAHERTZ = "GHz"
    CELSIUS = "°C"
    MEGABITS_PER_SECOND = "Mbit/s"
    NONE = ""


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Levels:
    """From where on a value is worth a look. critical < warning means that lower is worse.

    With `per`, the path of a field, the value is divided by that field's first.
    """

    warning: float
    critical: float
    per: str = ""


@dataclass(frozen=True)
class Ratio:
    """The value is scale × numerator / denominator, both paths of fields."""

    numerator: str
    denominator: str
    scale: float = 1.0


@dataclass(frozen=True)
class Field:
    """One declared value of the document.

    `path` is dotted and whole, with `*` for a device's name or a CPU's number:
    "network.interfaces.*.bytes_recv_per_sec", "cpu.per_core.*". Raises ValueError when a ratio
    does not say of what.
    """

    path: str
    kind: Kind
    unit: Unit
    description: str
    source: str
    levels: Levels | None = None
    ratio: Ratio | None = None

    def __post_init__(self) -> None:
        if (self.kind is Kind.RATIO) != (self.ratio is not None):
            raise ValueError(f"{self.path}: a field has a ratio exactly when its kind is ratio")


def judge(levels: Levels | None, value: float | None) -> Level:
    """The level of a value; unknown without a value, ok without levels."""
    if value is None or math.isnan(value):
        return Level.UNKNOWN
    if levels is None:
        return Level.OK
    sign = 1 if levels.critical >= levels.warning else -1
    if sign * value >= sign * levels.critical:
        return Level.CRITICAL
    return Level.WARNING if sign * value >= sign * levels.warning else Level.OK
