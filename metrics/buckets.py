"""Samples, and slots of finer buckets, summed up in buckets of equal length. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from operator import add, mul
from typing import Any, NamedTuple

from metrics.collectors import FIELDS, field_of, getter
from metrics.collectors.base import Json
from metrics.collectors.fields import Field, Kind
from metrics.documents import number

LONGEST_INTERVAL = 31 * 86_400
"""Seconds that one document can stand for: what says more says nothing."""

MEANS = (Kind.GAUGE, Kind.RATE)
QUOTIENTS = (Kind.RATIO, Kind.DELTA)
LASTS = (Kind.COUNTER, Kind.CAPACITY)

Read = Callable[[Mapping[str, Json]], Json]
Readings = Callable[[Mapping[str, Json]], Iterable[tuple["Series", Json]]]


class Series(NamedTuple):
    """A declared field of one device: its name, and how to read its inputs from a document."""

    name: str
    field: Field
    path: tuple[str, ...]
    read: Read
    inputs: "tuple[Series, ...]" = ()
    """Numerator and denominator of a ratio."""

    @property
    def scale(self) -> float:
        """Return the factor of a ratio; 1 for all others."""
        return self.field.ratio.scale if self.field.ratio else 1.0

    @property
    def collector(self) -> str:
        """Return the part of the document that the series belongs to."""
        return self.name.partition(".")[0]


@lru_cache(maxsize=16_384)
def series_of(name: str) -> Series | None:
    """Return what `name` is a series of; None for undeclared names, for text and for flags."""
    field = field_of(name)
    if field is None or field.kind is Kind.STATE or (field.path == name and "*" in name):
        return None
    prefix, star, leaf = field.path.partition("*")
    device = name[len(prefix) : len(name) - len(leaf)] if star else ""
    parents = prefix.removesuffix(".").split(".")
    path = [*parents, device, *([leaf[1:]] if leaf else [])] if star else name.split(".")
    ratio = field.ratio
    inputs = [ratio.numerator, ratio.denominator] if ratio else []
    found = [series_of(one.replace("*", device)) for one in inputs]
    return Series(name, field, tuple(path), getter(name), tuple(one for one in found if one))


class Sums:
    """One series by bucket: the mean is total / weight.

    The weight is the number of samples or, of ratios and deltas, the denominator or the seconds.
    `last` is in use for counters and capacities, which nothing else is said of.
    """

    __slots__ = ("high", "is_last", "is_quotient", "last", "low", "total", "values", "weight")

    def __init__(self, kind: Kind, count: int) -> None:
        self.is_last = kind in LASTS
        self.is_quotient = kind in QUOTIENTS
        self.last: list[Json] = [None] * count
        self.weight: list[float] = [0] * count
        self.total: list[float] = [0] * count
        self.low: list[Json] = [None] * count
        self.high: list[Json] = [None] * count
        self.values: list[float] = []

    def add_values(self, index: int) -> None:
        """Add the collected values of single samples to one bucket."""
        values, self.values = self.values, []
        self.add(index, len(values), sum(values), min(values), max(values))

    def add(self, index: int, weight: float, total: float, low: float, high: float) -> None:
        """Add to one bucket."""
        if not self.weight[index]:
            self.low[index], self.high[index] = low, high
        else:
            self.low[index] = min(self.low[index], low)
            self.high[index] = max(self.high[index], high)
        self.weight[index] += weight
        self.total[index] += total

    def add_whole(self, slots: "Slots", parts: "Parts") -> bool:
        """Add slots that fill their buckets evenly and have no gap; return whether they do.

        An answer reads ten thousands of slots: this takes a quarter of the time of `add_each`.
        """
        if not slots.whole or not slots.pairs:
            return False
        (first, start), (last, end) = slots.pairs[0], slots.pairs[-1]
        if last >= len(parts.total) or any(self.weight[start : end + 1]):
            return False
        weight, total, low, high = (part[first : last + 1] for part in parts)
        if None in total:
            return False
        if slots.whole > 1:
            weight, total = _by(slots.whole, add, weight), _by(slots.whole, add, total)
            low, high = _by(slots.whole, min, low), _by(slots.whole, max, high)
        here = slice(start, end + 1)
        self.weight[here], self.total[here] = weight, total
        self.low[here], self.high[here] = low, high
        return True

    def add_each(self, slots: "Slots", parts: "Parts") -> None:
        """Add slots one by one."""
        length = len(parts.total)
        for slot, index in slots.pairs:
            if slot < length and parts.total[slot] is not None:
                self.add(index, *(part[slot] for part in parts))

    def means(self, scale: float = 1.0) -> list[Json]:
        """Return the mean of each bucket, times a ratio's scale; the last value of counters."""
        if self.is_last:
            return self.last
        return [
            scale * total / weight if weight else None
            for total, weight in zip(self.total, self.weight, strict=True)
        ]


def _by(count: int, one: Callable[[Any, Any], Any], values: list[Any]) -> list[Any]:
    """Return what each `count` neighbours are together."""
    found: Iterable[Any] = values[::count]
    for offset in range(1, count):
        found = map(one, found, values[offset::count])
    return list(found)


class Sample(NamedTuple):
    """What a document says of the samples that it stands for.

    `span` is how far it is to the next document; `folded` is what a downsampled one says more.
    """

    samples: int
    interval: float
    span: float
    folded: Mapping[str, Json] | None


def sample_of(document: Mapping[str, Json]) -> Sample:
    """Return what is known of a document; 0 seconds where it does not say its interval."""
    sampler = document.get("sampler")
    interval = sampler.get("interval_seconds") if isinstance(sampler, Mapping) else None
    seconds = _bounded(interval)
    folded = document.get("downsampled")
    if not isinstance(folded, Mapping):
        return Sample(1, seconds, seconds, None)
    count = int(_bounded(folded.get("samples")))
    span = _bounded(folded.get("bucket_seconds"))
    return Sample(max(count, 1), seconds, span or seconds, folded)


def _bounded(value: Json) -> float:
    found = number(value)
    return found if found is not None and 0 < found <= LONGEST_INTERVAL else 0


@dataclass
class Header:
    """What all series of a bucket share: samples, seconds that they cover, longest interval."""

    n: list[int]
    seconds: list[float]
    interval: list[float]


class Buckets:
    """`count` buckets of `step` seconds from `start` on (seconds of the epoch).

    What is added later must not be older, as far as counters and capacities are concerned.
    """

    def __init__(self, start: int, step: int, count: int) -> None:
        self.start, self.step, self.count = start, step, count
        self.header = Header([0] * count, [0] * count, [0] * count)
        self.series: dict[str, Sums] = {}

    def sums(self, series: Series) -> Sums:
        """Return the sums of a series, empty ones if it is new."""
        found = self.series.get(series.name)
        if found is None:
            found = self.series[series.name] = Sums(series.field.kind, self.count)
        return found

    def add(self, rows: Iterable[tuple[float, Mapping[str, Json]]], read: Readings) -> None:
        """Add snapshots: second of the epoch and document; those outside are left out."""
        for index, group in groupby(rows, lambda row: int((row[0] - self.start) // self.step)):
            if 0 <= index < self.count:
                for _, document in group:
                    self._add(index, document, read)
                for sums in self.series.values():
                    if sums.values:
                        sums.add_values(index)

    def _add(self, index: int, document: Mapping[str, Json], read: Readings) -> None:
        sample = sample_of(document)
        self._count(index, sample.samples, sample.samples * sample.interval, sample.span)
        simple = sample.folded is None
        known = self.series
        for series, value in read(document):
            if type(value) is not float and type(value) is not int:
                continue
            sums = known.get(series.name) or self.sums(series)
            if sums.is_last:
                sums.last[index] = value
            elif simple and not sums.is_quotient:
                # Summed up bucket by bucket: a call for each value costs more than all the rest.
                sums.values.append(value)
            elif parts := contribution(series, value, document, sample):
                sums.add(index, *parts)

    def _count(self, index: int, samples: int, seconds: float, span: float) -> None:
        header = self.header
        header.n[index] += samples
        header.seconds[index] += seconds
        header.interval[index] = max(header.interval[index], span)

    def add_header(self, slots: "Slots") -> None:
        """Add what a chunk says of all its series."""
        header = slots.header
        if slots.whole and slots.pairs:
            (first, start), (last, end) = slots.pairs[0], slots.pairs[-1]
            mine = self.header
            if not any(mine.n[start : end + 1]):
                for name, together in (("n", add), ("seconds", add), ("interval", max)):
                    part = getattr(header, name)[first : last + 1]
                    getattr(mine, name)[start : end + 1] = _by(slots.whole, together, part)
                return
        for slot, index in slots.pairs:
            if header.n[slot]:
                self._count(index, header.n[slot], header.seconds[slot], header.interval[slot])

    def add_slots(self, slots: "Slots", name: str, kind: Kind, columns: Mapping[str, Any]) -> None:
        """Add the columns of one series of a chunk."""
        sums = self.series.get(name)
        if sums is None:
            sums = self.series[name] = Sums(kind, self.count)
        if "last" in columns:
            last = columns["last"]
            for slot, index in slots.pairs:
                if slot < len(last) and last[slot] is not None:
                    sums.last[index] = last[slot]
            return
        parts = opened(columns, slots.header)
        if not sums.add_whole(slots, parts):
            sums.add_each(slots, parts)


class Parts(NamedTuple):
    """The columns of a series, by slot: weight, weighted sum, lowest and highest."""

    weight: list[Json]
    total: list[Json]
    low: list[Json]
    high: list[Json]


def opened(columns: Mapping[str, Any], header: Header) -> Parts:
    """Return the columns of a series with what was left out because it can be told."""
    if "num" in columns:
        total = columns["num"]
        weight = columns.get("den", header.seconds)
    else:
        total = columns["avg"]
        weight = columns.get("n", header.n)
        if None in total:
            total = [
                None if one is None else one * much
                for one, much in zip(total, weight, strict=False)
            ]
        else:
            total = list(map(mul, total, weight))
    value = columns.get("avg")
    return Parts(weight, total, columns.get("min", value), columns.get("max", value))


class Slots(NamedTuple):
    """Slots of a chunk, each with the bucket that it falls into.

    `whole` is how many fall into each of these buckets, None where it is not the same number.
    """

    header: Header
    pairs: list[tuple[int, int]]
    whole: int | None


def slots_of(
    chunk_start: int, seconds: int, header: Header, buckets: Buckets, span: tuple[int, int]
) -> Slots:
    """Return the slots of a chunk that lie in `span` and fall into one of the buckets."""
    since, until = span
    offset, per = chunk_start - buckets.start, buckets.step
    since, until = max(since, buckets.start), min(until, buckets.start + buckets.count * per)
    first = max(0, -((chunk_start - since) // seconds))
    end = min(len(header.n), -((chunk_start - until) // seconds))
    pairs = [(slot, (offset + slot * seconds) // per) for slot in range(first, end)]
    is_whole = per % seconds == (offset + first * seconds) % per == 0
    whole = per // seconds if is_whole and len(pairs) % (per // seconds) == 0 else None
    return Slots(header, pairs, whole)


def contribution(
    series: Series, value: float, document: Mapping[str, Json], sample: Sample
) -> tuple[float, float, float, float] | None:
    """Return weight, total, lowest and highest of one document; None where it says nothing."""
    folded = sample.folded
    count = sample.samples if folded is None else mirrored(series, folded, "n", sample.samples)
    low = value if folded is None else mirrored(series, folded, "min", value)
    high = value if folded is None else mirrored(series, folded, "max", value)
    if count <= 0:
        return None
    if series.inputs:
        sums = sums_of_ratio(series, document, folded, count)
        if sums is None:
            return None
        if folded is None:
            low = high = series.scale * sums[0] / sums[1]
        return sums[1], sums[0], low, high
    if series.field.kind is Kind.DELTA:
        seconds = sample.interval
        if not seconds:
            return None
        weight = seconds * count
        weight = weight if folded is None else mirrored(series, folded, "den", weight)
        return weight, value * count, low / seconds, high / seconds
    return count, value * count, low, high


def sums_of_ratio(
    series: Series, document: Mapping[str, Json], folded: Mapping[str, Json] | None, count: float
) -> tuple[float, float] | None:
    """Return numerator and denominator over `count` samples; None without one of them."""
    sums: list[float] = []
    for one, mirror in zip(series.inputs, ("num", "den"), strict=True):
        value = number(one.read(document))
        total = None if value is None else value * count
        if folded is not None:
            found = folded.get(mirror)
            said = number(series.read(found)) if isinstance(found, Mapping) else None
            total = total if said is None else said
        if total is None:
            return None
        sums.append(total)
    return (sums[0], sums[1]) if sums[1] > 0 else None


def mirrored(series: Series, folded: Mapping[str, Json], name: str, default: float) -> float:
    """Return what a folded document says more of a series."""
    mirror = folded.get(name)
    found = number(series.read(mirror)) if isinstance(mirror, Mapping) else None
    return default if found is None else found


def chosen(names: Iterable[str]) -> Readings:
    """Return what reads these series from a document."""
    found = [series for name in names if (series := series_of(name))]
    return lambda document: [(series, series.read(document)) for series in found]


class _Holder(NamedTuple):
    """An object of documents: its path, its own fields, and those of the devices in it.

    Of devices there is what stands before and behind their name.
    """

    path: tuple[str, ...]
    own: list[tuple[str, Series]]
    devices: list[tuple[str, str]]


@cache
def _plan() -> list[_Holder]:
    """Return where documents have the declared fields."""
    plan: dict[tuple[str, ...], _Holder] = {}
    for field in FIELDS:
        if field.kind is Kind.STATE:
            continue
        prefix, star, leaf = field.path.partition("*")
        path = tuple(prefix.removesuffix(".").split(".") if star else field.path.split(".")[:-1])
        holder = plan.setdefault(path, _Holder(path, [], []))
        if star:
            holder.devices.append((prefix, leaf))
        elif series := series_of(field.path):
            holder.own.append((series.path[-1], series))
    return list(plan.values())


@lru_cache(maxsize=16_384)
def _of_device(holder: int, name: str) -> tuple[Series | None, list[tuple[str, Series]]]:
    """Return the series of a device that is a number, and those of one that is an object."""
    itself, inner = None, []
    for prefix, leaf in _plan()[holder].devices:
        series = series_of(f"{prefix}{name}{leaf}")
        if series and leaf:
            inner.append((leaf[1:], series))
        elif series:
            itself = series
    return itself, inner


def all_series(document: Mapping[str, Json]) -> list[tuple[Series, Json]]:
    """Return every declared series of a document with its value, devices and cores included."""
    found: list[tuple[Series, Json]] = []
    for holder, (path, own, devices) in enumerate(_plan()):
        values: Json = document
        for parent in path:
            values = values.get(parent) if isinstance(values, dict) else None
        if isinstance(values, list):
            values = {str(index): value for index, value in enumerate(values)}
        elif not isinstance(values, dict):
            continue
        get = values.get
        found += [(series, value) for last, series in own if (value := get(last)) is not None]
        for name, value in values.items() if devices else ():
            itself, inner = _of_device(holder, name)
            if type(value) is dict:
                get = value.get
                found += [(one, part) for leaf, one in inner if (part := get(leaf)) is not None]
            elif itself and value is not None:
                found.append((itself, value))
    return found
