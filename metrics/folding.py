"""Many snapshots' documents as one that stands for them all: downsampling. Pure.

The document keeps its shape: gauges, rates and counts per sample are means, counters and capacities
the last value, ratios come from sums. Its part `downsampled` says of how many samples (`samples`)
and of how long (`bucket_seconds`), and mirrors the shape for each series: `n` samples that had it,
`min` and `max`. Folding what is folded already adds up, so documents may come in portions.

Two more mirrors are there only where they say something new: `num` and `den`, the sums that a
ratio is made of, where its inputs were not in the same samples; `den`, the seconds that a count was
taken in, where those are not `n` mean intervals.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from metrics.buckets import (
    LASTS,
    QUOTIENTS,
    Sample,
    Series,
    all_series,
    mirrored,
    sample_of,
    series_of,
    sums_of_ratio,
)
from metrics.collectors import FIELDS
from metrics.collectors.base import Json
from metrics.collectors.fields import Kind
from metrics.documents import inner, number
from metrics.tiers import moment

DIGITS = 10
MOST_CPUS = 8_192
"""More than that no kernel can have (CONFIG_NR_CPUS): what has a longer number is left out."""

MIRRORS = ("n", "min", "max", "num", "den")


class _Total:
    """One series: `n` samples that had it, their sum, lowest and highest; of ratios the sums.

    Of deltas lowest and highest are per second, and `den` is the seconds.
    """

    __slots__ = (
        *("den", "high", "is_last", "is_quotient", "last", "low", "n", "series", "total", "values"),
    )

    def __init__(self, series: Series) -> None:
        self.series = series
        self.is_last = series.field.kind in LASTS
        self.is_quotient = series.field.kind in QUOTIENTS
        self.n: int = 0
        self.total: float = 0
        self.den: float = 0
        self.low = math.inf
        self.high = -math.inf
        self.last: Json = None
        self.values: list[float] = []

    def add(self, n: int, total: float, low: float, high: float, den: float = 0) -> None:
        self.n += n
        self.total += total
        self.den += den
        self.low = min(self.low, low)
        self.high = max(self.high, high)


class Fold:
    """Documents of one bucket, added oldest first."""

    def __init__(self, start: int, seconds: int) -> None:
        self._start, self._seconds = start, seconds
        self._samples = 0
        self._covered: float = 0
        self._base: dict[str, Json] = {}
        self._sources: set[Json] = set()
        self._look: Json = None
        self._busy = -1.0
        self._totals: dict[str, _Total] = {}

    def add(self, document: Json) -> None:
        """Add a document, a single sample's or a folded one; the fold keeps and changes it."""
        document = document if isinstance(document, dict) else {}
        sample = sample_of(document)
        self._samples += sample.samples
        self._covered += sample.samples * sample.interval
        self._seconds = max(self._seconds, math.ceil(sample.span))
        self._base = document or self._base
        source = inner(document, "sampler").get("source")
        self._sources.add(source if isinstance(source, str) else None)
        self._look_at(document.get("processes"))
        simple = sample.folded is None
        totals = self._totals
        for series, value in all_series(document):
            if not (type(value) is float or type(value) is int):
                continue
            one = totals.get(series.name)
            if one is None:
                one = totals[series.name] = _Total(series)
            if one.is_last:
                one.last = value
            elif simple and not one.is_quotient:
                # Summed up at the end: a call for each value costs more than all the rest.
                one.values.append(value)
            else:
                _add(one, value, document, sample)

    def document(self) -> dict[str, Json]:
        """Return the document that stands for all; nothing may be added any more."""
        found = self._base
        covered = self._covered / self._samples if self._samples else 0
        for name in _UNSUMMED - self._totals.keys():
            if series := series_of(name):
                _put(found, series.path, None, only_over=True)
        mirrors: dict[str, dict[str, Json]] = {name: {} for name in MIRRORS}
        for one in self._totals.values():
            if values := one.values:
                one.add(len(values), math.fsum(values), min(values), max(values))
                one.values = []
        for one in self._totals.values():
            for name, value in self._told(one, covered).items():
                _put(mirrors.get(name, found), one.series.path, value)
        if isinstance(found.get("processes"), Mapping):
            found["processes"] = self._look or found["processes"]
        sampler = found.get("sampler")
        if isinstance(sampler, dict):
            sampler["id"] = None  # of no single sample
            if len(self._sources) > 1:
                # Whoever removes what was imported must not take what was sampled along.
                sampler.pop("source", None)
            sampler["interval_seconds"] = _short(covered) or sampler.get("interval_seconds")
        found["timestamp"] = _text(moment(self._start))
        found["downsampled"] = {
            "samples": self._samples,
            "bucket_seconds": self._seconds,
            **{name: mirror for name, mirror in mirrors.items() if mirror or name in MIRRORS[:3]},
        }
        return found

    def _look_at(self, processes: Json) -> None:
        """Keep the look at the processes in which they were busiest."""
        table = processes.get("top_cpu") if isinstance(processes, Mapping) else None
        if not isinstance(table, Mapping) or not any(processes.values()):
            return
        ranks = [rank for rank in table.values() if isinstance(rank, Mapping)]
        busy = sum(number(rank.get("cpu_percent")) or 0 for rank in ranks)
        if busy > self._busy:
            self._busy, self._look = busy, processes

    def _told(self, one: _Total, interval: float) -> dict[str, Json]:
        """Return the value of a series and what its mirrors say."""
        if one.is_last:
            return {"value": one.last}
        if not one.n:
            return {"value": None}
        found: dict[str, Json] = {"n": one.n}
        scale = 1.0
        if one.series.inputs:
            found["value"] = _short(one.series.scale * one.total / one.den)
            if any(self._count(read) != one.n for read in one.series.inputs):
                found |= {"num": _short(one.total), "den": _short(one.den)}
        else:
            found["value"] = _short(one.total / one.n)
            if one.series.field.kind is Kind.DELTA:
                scale = interval or 1.0
                if one.den and not math.isclose(one.den, one.n * interval, rel_tol=1e-9):
                    found["den"] = _short(one.den)
        low, high = (one.low, one.high) if one.low <= one.high else (found["value"] / scale,) * 2
        return found | {"min": _short(low * scale), "max": _short(high * scale)}

    def _count(self, series: Series) -> int | None:
        total = self._totals.get(series.name)
        return None if total is None or total.is_last else total.n


def _add(one: _Total, value: float, document: Mapping[str, Json], sample: Sample) -> None:
    """Add a folded value, a ratio or a count."""
    series, folded = one.series, sample.folded
    count = 1 if folded is None else int(mirrored(series, folded, "n", sample.samples))
    if count <= 0:
        return
    low = value if folded is None else mirrored(series, folded, "min", value)
    high = value if folded is None else mirrored(series, folded, "max", value)
    if series.inputs:
        sums = sums_of_ratio(series, document, folded, count)
        if sums is not None:
            if folded is None:
                low = high = series.scale * sums[0] / sums[1]
            one.add(count, sums[0], low, high, sums[1])
    elif series.field.kind is not Kind.DELTA:
        one.add(count, value * count, low, high)
    elif sample.interval:
        den = sample.interval * count
        den = den if folded is None else mirrored(series, folded, "den", den)
        one.add(count, value * count, low / sample.interval, high / sample.interval, den)
    else:
        one.add(count, value * count, math.inf, -math.inf)


_UNSUMMED = frozenset(
    field.path for field in FIELDS if field.kind in QUOTIENTS and "*" not in field.path
)
"""Ratios and counts that no sample of the bucket had a right to say."""


def _put(target: Json, path: tuple[str, ...], value: Json, *, only_over: bool = False) -> None:
    """Set a value of a document; CPUs by number make a list, with None where there is no value.

    With `only_over` nothing is set where there was nothing.
    """
    *parents, last = path
    for depth, name in enumerate(parents):
        below = target.get(name) if isinstance(target, dict) else None
        is_list = depth == len(parents) - 1 and name == "per_core"
        if not isinstance(below, list if is_list else dict):
            if only_over:
                return
            below = target[name] = [] if is_list else {}
        target = below
    if isinstance(target, list):
        if len(last) > len(str(MOST_CPUS)):
            return
        index = int(last)
        target += [None] * (index + 1 - len(target))
        target[index] = value
    elif not only_over or last in target:
        target[last] = value


def _short(value: float) -> float | int:
    """Return the number without the noise of binary fractions, whole ones without a point."""
    if type(value) is int:
        return value
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded == int(rounded) else rounded


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bucket_seconds(document: Any) -> int:
    """Return how long a folded document stands for; 0 where it is a single sample."""
    sample = sample_of(document)
    return 0 if sample.folded is None else int(sample.span)
