"""What a row of roll-ups holds, written and read: columns of slots by series. Pure.

A chunk is `{"n": […], "seconds": […], "interval": […], "s": {series: columns}}`. Columns are `avg`,
`min` and `max` (left out where they are the same) and, where it is not the slot's, `n`; of ratios
and deltas `num`, `min`, `max` and, where it is not the slot's seconds, `den`; of counters and
capacities `last`. Empty slots at the end are left out, so that a document an hour does not cost
sixty; a column of equal values is `{"all": value, "slots": number}`: much never changes, and what
reading costs is mostly numbers that are turned into text and back.
"""

from collections.abc import Mapping
from typing import Any, cast

from metrics.buckets import Buckets, Header, Sums
from metrics.collectors import FIELDS
from metrics.collectors.base import Json
from metrics.collectors.fields import Kind

COLLECTORS = tuple(
    dict.fromkeys(f.path.partition(".")[0] for f in FIELDS if f.kind is not Kind.STATE)
)
"""The parts of a document that have series: each is a row of every chunk."""

SHORTEST = 4
"""From this many equal values on it takes less room to say it once."""

Columns = dict[str, list[Json]]
Chunk = dict[str, Any]


def header_of(chunk: Mapping[str, Json]) -> Header:
    """Return what a chunk says of all its series."""
    return opened_header(chunk["n"], chunk["seconds"], chunk["interval"])


def opened_header(n: Json, seconds: Json, interval: Json) -> Header:
    """Return the header from its columns: all as long as that of the samples.

    Samples at the end that do not say their interval cover no seconds, which are left out.
    """
    count = column_of(n)
    return Header(count, *(_padded(column_of(one), len(count), 0) for one in (seconds, interval)))


def columns_of(stored: Mapping[str, Json]) -> Columns:
    """Return the columns of a series."""
    return {name: column_of(column) for name, column in stored.items()}


def column_of(stored: Json) -> list[Any]:
    """Return a column, slot by slot."""
    if isinstance(stored, Mapping):
        return [stored["all"]] * stored["slots"]
    return cast(list[Any], stored)


def patched(chunk: Chunk | None, length: int, collector: str, first: int, new: Buckets) -> Chunk:
    """Return a chunk of `length` slots in which those from `first` on are the new buckets."""
    stored = header_of(chunk) if chunk else Header([], [], [])
    old = Header(*(_padded(one, length, 0) for one in vars(stored).values()))
    before, behind = slice(0, first), slice(first + new.count, None)
    header = Header(
        [*old.n[before], *new.header.n, *old.n[behind]],
        [*old.seconds[before], *map(_short, new.header.seconds), *old.seconds[behind]],
        [*old.interval[before], *map(_short, new.header.interval), *old.interval[behind]],
    )
    columns = {
        name: _opened(columns_of(one), old) for name, one in (chunk["s"] if chunk else {}).items()
    }
    fresh = {
        name: _columns(sums)
        for name, sums in new.series.items()
        if name.partition(".")[0] == collector
    }
    series = {}
    for name in sorted(columns.keys() | fresh.keys()):
        one, other = columns.get(name, {}), fresh.get(name, {})
        merged = {
            column: [
                *one.get(column, [None] * length)[before],
                *other.get(column, [None] * new.count),
                *one.get(column, [None] * length)[behind],
            ]
            for column in one.keys() | other.keys()
        }
        if any(value is not None for column in merged.values() for value in column):
            series[name] = _closed(merged, header)
    return {name: _stored(_trimmed(one, 0)) for name, one in vars(header).items()} | {"s": series}


def _columns(sums: Sums) -> Columns:
    if sums.is_last:
        return {"last": sums.last}
    low, high = _all_rounded(sums.low), _all_rounded(sums.high)
    if sums.is_quotient:
        den = [_short(weight) if weight else None for weight in sums.weight]
        num = [_short(t) if w else None for t, w in zip(sums.total, sums.weight, strict=True)]
        return {"num": num, "den": den, "min": low, "max": high}
    avg = _all_rounded(sums.means())
    return {"avg": avg, "min": low, "max": high, "n": [weight or None for weight in sums.weight]}


def _opened(columns: Columns, header: Header) -> Columns:
    """Return the columns in full length, with those that were left out."""
    columns = {name: _padded(one, len(header.n), None) for name, one in columns.items()}
    if "avg" in columns:
        columns = {"min": columns["avg"], "max": columns["avg"]} | columns
    for weight, value, default in (("n", "avg", header.n), ("den", "num", header.seconds)):
        if value in columns and weight not in columns:
            return columns | {weight: _of(default, columns[value])}
    return columns


def _closed(columns: Columns, header: Header) -> dict[str, Json]:
    """Return the columns without empty ends and without what can be told from the others."""
    for weight, value, default in (("n", "avg", header.n), ("den", "num", header.seconds)):
        if value in columns and columns[weight] == _of(default, columns[value]):
            columns = {name: column for name, column in columns.items() if name != weight}
    if "avg" in columns:
        # Much never changes: errors, drops, huge pages.
        columns = {
            name: column
            for name, column in columns.items()
            if name not in ("min", "max") or column != columns["avg"]
        }
    return {name: _stored(_trimmed(column, None)) for name, column in columns.items()}


def _padded(column: list[Json], length: int, empty: Json) -> list[Json]:
    return column + [empty] * (length - len(column))


def _stored(column: list[Json]) -> Json:
    if len(column) < SHORTEST or column.count(column[0]) != len(column):
        return column
    return {"all": column[0], "slots": len(column)}


def _trimmed(column: list[Json], empty: Json) -> list[Json]:
    end = len(column)
    while end and column[end - 1] == empty:
        end -= 1
    return column[:end]


def _of(default: list[Any], values: list[Json]) -> list[Json]:
    return [d if value is not None else None for d, value in zip(default, values, strict=True)]


def _all_rounded(values: list[Json]) -> list[Json]:
    """Return numbers with 7 significant digits: what is summed up of them again stays exact."""
    return [
        one if one is None or type(one) is int else _whole(float(f"{one:.7g}")) for one in values
    ]


def _short(value: float) -> float | int:
    """Return a sum without the noise of binary fractions."""
    return value if type(value) is int else _whole(float(f"{value:.12g}"))


def _whole(value: float) -> float | int:
    """Return whole numbers without a point: they take less room."""
    return int(value) if value == int(value) else value
