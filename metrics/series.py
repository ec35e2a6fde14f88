"""Arithmetic of series: from snapshots to columns that a chart draws. Pure."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from metrics.collectors import field_of, getter, is_list, lookup
from metrics.collectors.fields import Field, Kind, Unit

GAP = 2.5
"""A gap is more than this many of a sample's own intervals."""

DIGITS = 4
"""Significant digits that leave the server."""

DIGITS_OF_NOISE = 3
"""The same of what differs from sample to sample: 180 pixels show no more, and it weighs less."""


class Point(NamedTuple):
    """One snapshot as the arithmetic sees it."""

    timestamp: datetime
    data: Mapping[str, Any]


def declared(series: str) -> Field:
    """Return the declaration of a series; raise LookupError where no collector declares it."""
    field = field_of(series)
    if field is None:
        raise LookupError(f"No collector declares {series}.")
    return field


def significant(value: Any, digits: int = DIGITS) -> float | int | None:
    """Return a finite number with at most `digits` significant digits, else None."""
    return rounded([value], f"%.{digits}g")[0]


def rounded(values: Iterable[Any], form: str) -> list[float | int | None]:
    """Return the finite numbers as the printf format writes them, None for anything else.

    In one go: a page has ten thousands of numbers.
    """
    numbers = [value if value.__class__ in (int, float) else math.nan for value in values]
    written = (f"{form} " * len(numbers)) % tuple(numbers)
    return [
        (int(number) if number.is_integer() else number) if math.isfinite(number) else None
        for number in map(float, written.split())
    ]


def json_column(values: Sequence[float | None]) -> str:
    """Return JSON of the numbers as `significant` gives them, null for None.

    In one go: an answer has ten thousands of numbers.
    """
    text = (f"%.{DIGITS}g," * len(values))[:-1] % tuple(
        [math.nan if value is None else value for value in values]
    )
    return f"[{text.replace('nan', 'null')}]"


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
    documents: list[Mapping[str, Any]] = []
    last = milliseconds(previous.timestamp) if previous else None
    for point in points:
        now = milliseconds(point.timestamp)
        interval = 1000 * (interval_of(point.data) or 0)
        if last is not None and interval and now - last > GAP * interval:
            times.append(last + round(interval))
            documents.append({})
        times.append(now)
        documents.append(point.data)
        last = now
    read: dict[str, list[Any]] = {name: [] for name in series}
    readers = [(_reader(name), column.append) for name, column in read.items()]
    for document in documents:
        for value_of, append in readers:
            append(value_of(document))
    return {"times": times, "series": {n: rounded(read[n], _form(n)) for n in series}}


def thinned(drawn: dict[str, Any], most: int, banded: Collection[str]) -> dict[str, Any]:
    """Return `columns()` with at most `most` points: the mean of even stretches of time.

    `low` and `high` beside `series` hold the smallest and the largest value of each stretch, for
    the series of `banded`. Few enough points stay as they are, and so does what else it holds.
    """
    times = drawn["times"]
    if len(times) <= most:
        return drawn
    width = (times[-1] - times[0]) // most + 1
    ends: dict[int, int] = {}
    for index, time in enumerate(times):
        ends[(time - times[0]) // width] = index + 1
    stretches = list(zip([0, *ends.values()], ends.values(), strict=False))
    parts: dict[str, dict[str, list[float | int | None]]] = {"series": {}, "low": {}, "high": {}}
    for name, column in drawn["series"].items():
        groups = [[v for v in column[start:end] if v is not None] for start, end in stretches]
        means = [sum(group) / len(group) if group else None for group in groups]
        parts["series"][name] = rounded(means, _form(name))
        if name in banded:
            parts["low"][name] = [min(group, default=None) for group in groups]
            parts["high"][name] = [max(group, default=None) for group in groups]
    return drawn | {"times": [times[end - 1] for _, end in stretches], **parts}


def marks(points: Iterable[Point], previous: Point | None = None) -> list[tuple[int, str]]:
    """Return when the host rebooted or the interval changed, in ms, and what happened."""
    found = []
    for point in points:
        if previous:
            boots = [lookup(one.data, "host.boot_id") for one in (previous, point)]
            intervals = [interval_of(one.data) for one in (previous, point)]
            if all(boots) and boots[0] != boots[1]:
                found.append((milliseconds(point.timestamp), "reboot"))
            if all(intervals) and intervals[0] != intervals[1]:
                text = " → ".join(f"{interval:g} s" for interval in intervals)
                found.append((milliseconds(point.timestamp), f"every {text}"))
        previous = point
    return found


def as_drawn(field: Field, value: Any, data: Mapping[str, Any]) -> Any:
    """Return the value that people see: what counts per sample becomes a rate."""
    if field.kind is not Kind.DELTA or not isinstance(value, (int, float)):
        return value
    interval = interval_of(data)
    return value / interval if interval else None


def unit_of(field: Field) -> Unit:
    """Return the unit of what `as_drawn` returns."""
    if field.kind is not Kind.DELTA:
        return field.unit
    return Unit.NONE if field.unit is Unit.SECONDS else Unit.PER_SECOND


def _reader(series: str) -> Callable[[Mapping[str, Any]], Any]:
    read, field = getter(series), field_of(series)
    if field is None or field.kind is not Kind.DELTA:
        return read
    return lambda data: as_drawn(field, read(data), data)


def _form(series: str) -> str:
    field = field_of(series)
    if field and is_list(field):
        return "%.0f"  # a shade of the strip
    noisy = field and (
        field.kind in {Kind.RATE, Kind.DELTA, Kind.RATIO} or field.unit is Unit.PERCENT
    )
    return f"%.{DIGITS_OF_NOISE if noisy else DIGITS}g"


class Statistics(NamedTuple):
    """Of one series over a range; `p95` is of the means that are shown, not of all samples."""

    minimum: float | None
    mean: float | None
    p95: float | None
    maximum: float | None
    last: float | None


def statistics(
    means: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
    mean: float | None,
) -> Statistics:
    """Return the statistics of the points' means, minima and maxima.

    `mean` is that of all samples; without it, and without minima, those of the points take its
    place.
    """
    shown = [value for value in means if value is not None]
    if not shown:
        return Statistics(None, None, None, None, None)
    return Statistics(
        minimum=min((value for value in low if value is not None), default=min(shown)),
        mean=math.fsum(shown) / len(shown) if mean is None else mean,
        p95=percentile(shown, 95),
        maximum=max((value for value in high if value is not None), default=max(shown)),
        last=shown[-1],
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of the values do not exceed (nearest rank)."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def short_holes(n: Sequence[int], interval: Sequence[float], step: int) -> list[int]:
    """Return the points without samples that are no gap: the samples around them are near enough.

    Where points are as close as samples, a sample that came a moment late leaves a point empty.
    """
    holes: list[int] = []
    last = None
    for index, samples in enumerate(n):
        if not samples:
            continue
        if last is not None and (index - last) * step <= GAP * interval[index]:
            holes += range(last + 1, index)
        last = index
    return holes


def bridged(values: Sequence[float | None], holes: Sequence[int]) -> list[float | None]:
    """Return the values with those at `holes` taken from the point before."""
    found = list(values)
    for index in holes:
        found[index] = found[index - 1]
    return found


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return what sorts names as people do: core 2 before core 10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def interval_of(data: Mapping[str, Any]) -> float | None:
    """Return the seconds between samples when this one was taken."""
    interval = lookup(data, "sampler.interval_seconds")
    return interval if isinstance(interval, (int, float)) and interval > 0 else None
