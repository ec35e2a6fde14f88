"""Writes imported rows in batches, each once, and removes them again.

Imported rows have ids below 0, counted downwards, so all that goes by the order of ids (the live
cursor, the newest sample, which clock to believe, how far the roll-ups are) sees live rows only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from django.db import connection, transaction

from metrics import rollups
from metrics.collectors.base import Document
from metrics.columns import CompactEncoder
from metrics.folding import bucket_seconds
from metrics.importing import origins
from metrics.importing.base import Ready
from metrics.models import AGGREGATED, MetricsSnapshot
from metrics.querysets.snapshots import imported, snapshots
from metrics.querysets.values import LOWEST_ID
from metrics.tiers import TIERS, floor, moment

REMOVED_AT_ONCE = 1_000
_MOMENT = timedelta(milliseconds=1)


class Stored(NamedTuple):
    """What became of rows: written, there before, or of a time that PerfWatch sampled itself."""

    added: int
    present: int
    covered: int


def store(rows: Sequence[Ready], *, fills_gaps: bool = False) -> Stored:
    """Write the rows that are not stored yet, in one transaction; `lock.only_one` is the caller's.

    With `fills_gaps` rows are left out whose time PerfWatch has sampled itself.
    """
    new, covered = _new(rows, fills_gaps)
    if new:
        with transaction.atomic():
            insert(new)
            times = [row.timestamp for row in new]
            rollups.changed(min(times), max(times) + _MOMENT)
    return Stored(len(new), len(rows) - len(new) - covered, covered)


def insert(rows: Sequence[Ready]) -> None:
    """Insert rows below all others, those of a source together."""
    rows = sorted(rows, key=_source)
    first = min(imported().lowest_id() or 0, 0) - len(rows)
    dumps = CompactEncoder().encode
    values = (
        (first + number, row.timestamp, dumps(row.document)) for number, row in enumerate(rows)
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Row by row: the server works on the last ones while the next are turned into text.
            with cursor.copy(f"COPY {_INTO} FROM STDIN") as copy:
                for id, at, text in values:
                    # To COPY a backslash means something; JSON has no bare tabs or line ends.
                    escaped = text.replace("\\", "\\\\")
                    copy.write(f"{id}\t{at.isoformat()}\t{AGGREGATED}\t{escaped}\n")
        else:
            adapt = connection.ops.adapt_datetimefield_value
            cursor.executemany(
                f"INSERT INTO {_INTO} VALUES (%s, %s, %s, %s)",  # noqa: S608
                [(id, adapt(at), AGGREGATED, text) for id, at, text in values],
            )
    runs, start = [], first
    for source, own in groupby(rows, _source):
        end = start + len(list(own))
        runs.append((start, end, source))
        start = end
    origins.noted(runs)


def remove(source: str) -> Iterator[int]:
    """Delete what was imported from a source, in batches; yield how many rows went with each.

    `sysstat` names all hosts', `sysstat:web1` one host's.
    """
    after: int | None = LOWEST_ID
    while after is not None:
        removed, after = remove_some(source, after)
        if removed:
            yield removed


def remove_some(source: str, after: int) -> tuple[int, int | None]:
    """Delete what is of a source among the next rows above an id; `lock.only_one` is the caller's.

    Returns how many rows went, and above which id to go on: None where there are no more.
    """
    with transaction.atomic():
        looked_at = imported().sources_after(after, REMOVED_AT_ONCE)
        found = {id: at for id, at, name in looked_at if is_of(name, source)}
        if found:
            MetricsSnapshot.objects.filter(id__in=list(found)).delete()
            rollups.changed(min(found.values()), max(found.values()) + _MOMENT)
        is_over = len(looked_at) < REMOVED_AT_ONCE
        if is_over:
            origins.forgotten(name for name in origins.names() if is_of(name, source))
    return len(found), None if is_over else looked_at[-1][0]


def is_of(name: object, source: str) -> bool:
    """Whether a row's source is the one that is named, or a host's of it."""
    return isinstance(name, str) and (name == source or name.startswith(f"{source}:"))


_INTO = "metrics_snapshot (id, timestamp, metric_type, metric_data)"


def _new(rows: Sequence[Ready], fills_gaps: bool) -> tuple[list[Ready], int]:
    """Return the rows that are to be written, and how many others PerfWatch has sampled itself."""
    spans = [_span(row) for row in rows]
    known = _Known(rows, spans)
    new: list[Ready] = []
    covered = 0
    for row, span in zip(rows, spans, strict=True):
        if known.has(row):
            continue
        # What stands for many samples is not put beside any of them.
        if bucket_seconds(row.document) and known.any_within(span):
            continue
        if fills_gaps and known.own_within(span):
            covered += 1
            continue
        known.add(row)
        new.append(row)
    return new, covered


def _span(row: Ready) -> tuple[datetime, datetime]:
    """Return the time that a row stands for."""
    if seconds := bucket_seconds(row.document):
        return row.timestamp, row.timestamp + timedelta(seconds=seconds) - _MOMENT
    interval = row.document["sampler"].get("interval_seconds") or 0
    return row.timestamp - timedelta(seconds=interval) + _MOMENT, row.timestamp


def _source(row: Ready) -> str:
    return str(row.document["sampler"].get("source", ""))


class _Known:
    """What is stored where the rows of a batch would go."""

    def __init__(self, rows: Sequence[Ready], spans: Sequence[tuple[datetime, datetime]]) -> None:
        times = {row.timestamp for row in rows}
        for at in list(times):
            times.update(moment(floor(at.timestamp(), tier.seconds)) for tier in TIERS)
        self._ids: set[str] = set()
        self._folded: dict[tuple[int, int], list[str | None]] = {}
        self._anonymous: set[tuple[datetime, str | None]] = set()
        for at, sampler, seconds in snapshots().marks(sorted(times)):
            self._note(at, sampler, seconds)
        ends = (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None
        found = snapshots().times(*ends) if ends else []
        self._all = [at for at, _ in found]
        self._own = [at for at, id in found if id > 0]

    def has(self, row: Ready) -> bool:
        """Whether a row is stored, or part of one that stands for many samples."""
        sampler = row.document["sampler"]
        source = sampler.get("source")
        if sampler.get("id") in self._ids or (row.timestamp, source) in self._anonymous:
            return True
        at = row.timestamp.timestamp()
        return any(
            source_of in (None, source)
            for tier in TIERS
            for source_of in self._folded.get((floor(at, tier.seconds), tier.seconds), ())
        )

    def add(self, row: Ready) -> None:
        """Remember a row that is going to be stored."""
        self._note(row.timestamp, row.document["sampler"], bucket_seconds(row.document))

    def any_within(self, span: tuple[datetime, datetime]) -> bool:
        """Whether there is any row in a stretch."""
        return _has(self._all, span)

    def own_within(self, span: tuple[datetime, datetime]) -> bool:
        """Whether PerfWatch itself has sampled in a stretch."""
        return _has(self._own, span)

    def _note(self, at: datetime, sampler: Document, seconds: int) -> None:
        source = sampler.get("source")
        if seconds:
            key = round(at.timestamp()), seconds
            self._folded.setdefault(key, []).append(source)
        elif sampler.get("id"):
            self._ids.add(sampler["id"])
        else:
            self._anonymous.add((at, source))


def _has(times: Sequence[datetime], span: tuple[datetime, datetime]) -> bool:
    return bisect_left(times, span[0]) < bisect_right(times, span[1])
