"""Arithmetic of series: from snapshots to columns that a chart draws. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from metrics.collectors import getter, lookup

GAP = 2.5
"""A gap is more than this many of a sample's own intervals."""

DIGITS = 4
"""Significant digits that leave the server."""


class Point(NamedTuple):
    """One snapshot as the arithmetic sees it."""

    timestamp: datetime
    data: Mapping[str, Any]


def significant(value: Any) -> float | int | None:
    """Return a finite number with at most 4 significant digits, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    if value == 0:
        return 0
    rounded = round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))
    return int(rounded) if rounded == int(rounded) else rounded


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds of the epoch."""
    return round(moment.timestamp() * 1000)


def columns(
    points: Iterable[Point], series: Sequence[str], previous: Point | None = None
) -> dict[str, Any]:
    """Return `{"times": [ms…], "series": {name: [number or None…]}}`, oldest first.

    Where samples are missing, also between `previous` and the first, a point of Nones is put
    in, so that a chart draws a gap.
    """
    times: list[int] = []
    values: dict[str, list[float | int | None]] = {name: [] for name in series}
    readers = [(getter(name), column) for name, column in values.items()]
    last = milliseconds(previous.timestamp) if previous else None
    for point in points:
        now = milliseconds(point.timestamp)
        interval = 1000 * (interval_of(point.data) or 0)
        if last is not None and interval and now - last > GAP * interval:
            times.append(last + round(interval))
            for column in values.values():
                column.append(None)
        times.append(now)
        last = now
        for read, column in readers:
            column.append(significant(read(point.data)))
    return {"times": times, "series": values}


def interval_of(data: Mapping[str, Any]) -> float | None:
    """Return the seconds between samples when this one was taken."""
    interval = lookup(data, "sampler.interval_seconds")
    return interval if isinstance(interval, (int, float)) and interval > 0 else None
