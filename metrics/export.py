"""Data on its way out: CSV, JSON and JSON Lines, piece by piece, however long the range is."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from metrics import history_page
from metrics.charts import DEVICES
from metrics.collectors.fields import Unit
from metrics.history import Line, history, series
from metrics.models import AGGREGATED
from metrics.querysets.snapshots import snapshots
from metrics.querysets.values import first_place
from metrics.tiers import moment

FORMATS = ("csv", "json", "jsonl")
ROWS = ("points", "samples")
POINTS = 720
MOST_VALUES = 150_000
"""Series times points: these are in memory at once, unlike samples and snapshots."""

SNAPSHOTS_AT_ONCE = 200
"""Their documents are a megabyte, or ten of a very large host."""

SAMPLES_AT_ONCE = 500
DIGITS = 7
"""Of means; what was measured keeps all."""

# What a spreadsheet takes for a formula, at the beginning of a cell: also of one that begins
# inside of ours, where it separates cells by another character than we do.
_FORMULA = re.compile(r"""(^|[,;|"'\t\r\n])(\s*)(?=[=+\-@\t\r＝＋－＠])""")


class Wanted(NamedTuple):
    """What to export. `names` and `points` mean nothing to `jsonl`, `points` nothing to samples."""

    format: str
    start: datetime
    end: datetime
    names: Sequence[str] = ()
    rows: str = "points"
    points: int = POINTS


class Piece(NamedTuple):
    """A part of the file: `rows` in it, and up to which time these are."""

    text: str
    rows: int
    until: datetime


class Column(NamedTuple):
    """One column behind the time: of a series, or its minimum or maximum."""

    name: str
    unit: Unit
    of: str

    @property
    def title(self) -> str:
        """Return the name and the unit as they stand in CSV."""
        of = f" {self.of}" if self.of in ("min", "max") else ""
        return f"{self.name}{of}" + (f" [{self.unit}]" if self.unit else "")


Row = tuple[datetime, list[str | None]]


class _Table(NamedTuple):
    about: dict[str, Any]
    columns: list[Column]
    portions: Iterable[list[Row]]


def shown(asked: Mapping[str, Any], now: datetime) -> list[str]:
    """Return the series that the history page shows for these parameters, each once."""
    unchosen: dict[str, Any] = {name: [] for name in ("chart", *(kind.key for kind in DEVICES))}
    return list(history_page.titles({**unchosen, **asked}, now))


def points_for(names: Sequence[str]) -> int:
    """Return how many points of so many series there are, unless somebody asks for others."""
    return max(1, min(POINTS, MOST_VALUES // max(1, len(names))))


def exported(wanted: Wanted, now: datetime) -> Iterator[Piece]:
    """Yield the file.

    Raises UnknownField before the first piece. No transaction and no cursor is open between two.
    """
    if wanted.format == "jsonl":
        return _snapshots(wanted.start, wanted.end)
    table = (_points if wanted.rows == "points" else _samples)(wanted, now)
    return (_csv if wanted.format == "csv" else _json)(table, wanted.start)


def iso(timestamp: datetime | str) -> str:
    """Return a time in ISO 8601, UTC; a text is one as SQLite stores it."""
    if isinstance(timestamp, str):
        if len(timestamp) in (19, 26) and timestamp[10] == " ":
            return f"{timestamp[:10]}T{timestamp[11:]}Z"
        timestamp = _moment(timestamp)
    return timestamp.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with a ' where one would begin."""
    return _FORMULA.sub(r"\1\2'", text)


def _snapshots(start: datetime, end: datetime) -> Iterator[Piece]:
    head = f'","metric_type":"{AGGREGATED}","metric_data":'
    place = first_place(start)
    while found := snapshots().texts_after(place, end, SNAPSHOTS_AT_ONCE):
        lines = []
        for (at, id), text in found:
            # In JSON a line break can only be a blank between two words.
            line = text.replace("\n", " ").replace("\r", " ")
            lines.append(f'{{"id":{id},"timestamp":"{iso(at)}{head}{line}}}\n')
        place = found[-1][0]
        yield Piece("".join(lines), len(lines), _moment(place.timestamp))


def _points(wanted: Wanted, now: datetime) -> _Table:
    found = history(wanted.names, wanted.start, wanted.end, wanted.points, now)
    columns, values = [], []
    for line in found.lines:
        for of, column in _parts(line):
            columns.append(Column(line.name, line.unit, of))
            values.append([_text(value, DIGITS) for value in column])
    times = [moment(found.start + found.step * index) for index in range(found.points)]
    cells = zip(*values, strict=True) if values else ([] for _ in times)
    rows = [(time, list(row)) for time, row in zip(times, cells, strict=True)]
    about = {"step": found.step, "resolution": found.resolution, "complete": found.complete}
    return _Table(_about(wanted) | about, columns, [rows])


def _parts(line: Line) -> list[tuple[str, list[float | None]]]:
    if line.low is None or line.high is None:
        return [("last", line.mean)]
    return [("mean", line.mean), ("min", line.low), ("max", line.high)]


def _samples(wanted: Wanted, now: datetime) -> _Table:
    asked = [series(name) for name in dict.fromkeys(wanted.names)]
    columns = [Column(one.name, one.field.unit, "value") for one in asked]
    paths = [one.path for one in asked]
    portions = _portions(paths, wanted.start, wanted.end) if paths else []
    return _Table(_about(wanted), columns, portions)


def _portions(
    paths: Sequence[tuple[str, ...]], start: datetime, end: datetime
) -> Iterator[list[Row]]:
    place = first_place(start)
    while found := snapshots().values_after(paths, place, end, SAMPLES_AT_ONCE):
        yield [(_moment(at), [_text(v) for v in values]) for (at, _), values in found]
        place = found[-1][0]


def _about(wanted: Wanted) -> dict[str, Any]:
    return {"from": iso(wanted.start), "to": iso(wanted.end), "of": wanted.rows}


def _csv(table: _Table, start: datetime) -> Iterator[Piece]:
    head = io.StringIO()
    csv.writer(head).writerow(["timestamp", *(safe(column.title) for column in table.columns)])
    yield Piece(head.getvalue(), 0, start)
    for rows in table.portions:
        # Numbers and times need no quotes.
        lines = [
            ",".join([iso(at), *[cell or "" for cell in cells]]) + "\r\n" for at, cells in rows
        ]
        yield Piece("".join(lines), len(rows), rows[-1][0] if rows else start)


def _json(table: _Table, start: datetime) -> Iterator[Piece]:
    columns = [{"name": "timestamp"}]
    columns += [{"name": c.name, "unit": str(c.unit), "of": c.of} for c in table.columns]
    about = json.dumps(table.about | {"columns": columns})
    yield Piece(f'{about[:-1]}, "rows": [', 0, start)
    comma = "\n"
    for rows in table.portions:
        lines = [
            "[" + ",".join([f'"{iso(at)}"', *[cell or "null" for cell in cells]]) + "]"
            for at, cells in rows
        ]
        yield Piece(comma + ",\n".join(lines), len(rows), rows[-1][0] if rows else start)
        comma = ",\n"
    yield Piece("\n]}\n", 0, start)


def _text(value: Any, digits: int = 0) -> str | None:
    """Return a number in JSON, which is also what CSV holds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    if value == int(value):
        return str(int(value))
    return repr(float(f"{value:.{digits}g}") if digits else value).removesuffix(".0")


def _moment(timestamp: datetime | str) -> datetime:
    if isinstance(timestamp, datetime):
        return timestamp
    found = datetime.fromisoformat(timestamp)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
