"""How much room rows take, estimated from a few of them: no count over a whole large table."""

import json
from typing import NamedTuple

from django.db import connection, models

from metrics.models import MetricsSnapshot, Rollup
from metrics.querysets.rollups import rollups
from metrics.querysets.snapshots import SnapshotQuerySet, snapshots

MB = 1_000_000
LOOKED_AT = 20
COUNTED = {"sqlite": 1_000_000, "postgresql": 50_000}
"""So many rows are counted, which an index does; beyond that the statistics are asked."""

BESIDE_DOCUMENT = 45
"""Bytes of a row's time, type and header."""

INLINE = 2_030
"""PostgreSQL stores larger rows in pieces of this size, in pages of which so much can be used."""

PIECE, PAGE, ROWS = 1_996, 8_168, 60
BESIDE_PIECE, IN_INDEX_OF_PIECES = 40, 25

IN_INDEXES = {"sqlite": 90, "postgresql": 80}


class Count(NamedTuple):
    """A number of rows, and whether it was counted."""

    rows: int
    is_exact: bool


def count(found: SnapshotQuerySet) -> Count:
    """Return how many snapshots there are, counted or, where they are many, as statistics say."""
    most = COUNTED[connection.vendor]
    rows = found.number_of(most)
    if rows < most:
        return Count(rows, True)
    if connection.vendor == "postgresql":
        return Count(max(rows, _planned(found)), False)
    ends = found.order_by().aggregate(first=models.Min("id"), last=models.Max("id"))
    return Count(max(rows, ends["last"] - ends["first"] + 1), False)


def snapshot_bytes(found: SnapshotQuerySet, *, newest: bool) -> float | None:
    """Return the mean bytes of a few rows, indexes included; None without any."""
    order = "-timestamp" if newest else "timestamp"
    return _mean(found.order_by(order).values_list("id", flat=True), MetricsSnapshot, "metric_data")


def chunks_bytes(resolution: int) -> float:
    """Return the bytes of all collectors' chunks of one moment, a full one if there is one."""
    chunks = rollups().filter(resolution=resolution)
    starts = chunks.order_by("-start").values_list("start", flat=True).distinct()
    # The newest is still open, and may be nearly empty.
    found = list(starts[:2])
    if not found:
        return 0.0
    ids = chunks.filter(start=found[-1]).values_list("id", flat=True)
    return (_mean(ids, Rollup, "data") or 0.0) * len(ids)


def used_bytes(rows: int, row_bytes: float) -> int:
    """Return what all tables take: exactly on SQLite, where free pages are told apart.

    On PostgreSQL files do not shrink, so it is what the roll-ups and the rows that are there need:
    of a document that is stored apart, its size is read, not the document.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT count(*), sum(pg_column_size(data)) FROM metrics_rollup")
            chunks, data = cursor.fetchone()
            beside = chunks * (BESIDE_DOCUMENT + IN_INDEXES["postgresql"])
            return int((data or 0) + beside + rows * row_bytes)
        numbers = []
        for name in ("page_count", "freelist_count", "page_size"):
            cursor.execute(f"PRAGMA {name}")
            numbers.append(cursor.fetchone()[0])
    pages, free, size = numbers
    return int((pages - free) * size)


def file_bytes() -> int:
    """Return the bytes on disk of the two large tables with their indexes, free room included."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_total_relation_size('metrics_snapshot')"
                " + pg_total_relation_size('metrics_rollup')"
            )
            return int(cursor.fetchone()[0])
        cursor.execute("PRAGMA page_count")
        pages = cursor.fetchone()[0]
        cursor.execute("PRAGMA page_size")
        return int(pages * cursor.fetchone()[0])


def excess(max_mb: int) -> int:
    """Return how many of the oldest snapshots have to go so that all takes `max_mb` at most."""
    everything = snapshots()
    row = snapshot_bytes(everything, newest=False)
    if row is None:
        return 0
    rows = count(everything).rows
    mean = (row + (snapshot_bytes(everything, newest=True) or row)) / 2
    over = used_bytes(rows, mean) - max_mb * MB
    return max(0, min(rows, -int(-over // row)))


def in_pages(payload: float, page: int = 4_096) -> float:
    """Return the bytes that SQLite needs for a row (https://www.sqlite.org/fileformat2.html)."""
    most, least = page - 35, (page - 12) * 32 // 255 - 23
    overflow = 0.0
    if payload > most:
        local = least + (payload - least) % (page - 4)
        local = local if local <= most else least
        overflow = -((local - payload) // (page - 4)) * page
        payload = local
    return overflow + page / max(1, (page - 8) // (payload + 14))


def in_chunks(length: float) -> float:
    """Return the bytes that PostgreSQL needs for a value that it stores beside the table.

    That is in pieces of 1,996 bytes, of which four fill a page; rows come one after the other, and
    the end of a page stays empty where the next piece does not fit
    (https://www.postgresql.org/docs/current/storage-toast.html).
    """
    whole, rest = divmod(round(length), PIECE)
    pieces = [PIECE] * whole + [rest] * (rest > 0)
    pages, free = 0, 0
    for piece in (_aligned(piece + BESIDE_PIECE) for _ in range(ROWS) for piece in pieces):
        if piece > free:
            pages, free = pages + 1, PAGE
        free -= piece
    return pages * 8_192 / ROWS + len(pieces) * IN_INDEX_OF_PIECES


def _aligned(length: int) -> int:
    return -(-length // 8) * 8


def _mean(
    ids: "models.QuerySet[models.Model, int]", model: type[models.Model], column: str
) -> float | None:
    chosen = list(ids[:LOOKED_AT])
    if not chosen:
        return None
    size = {"sqlite": f"length(CAST({column} AS BLOB))", "postgresql": f"pg_column_size({column})"}
    marks = ", ".join(["%s"] * len(chosen))
    sql = f"SELECT {size[connection.vendor]} FROM {model._meta.db_table} WHERE id IN ({marks})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, chosen)
        lengths = [length + BESIDE_DOCUMENT for (length,) in cursor.fetchall()]
    if connection.vendor == "sqlite":
        lengths = [in_pages(length) for length in lengths]
    else:
        lengths = [
            in_chunks(length - BESIDE_DOCUMENT) + BESIDE_DOCUMENT if length > INLINE else length
            for length in lengths
        ]
    return sum(lengths) / len(lengths) + IN_INDEXES[connection.vendor] if lengths else None


def _planned(found: SnapshotQuerySet) -> int:
    """Return the rows that PostgreSQL's statistics promise."""
    plan = found.order_by().values("id").explain(format="json")
    value = json.loads(plan) if isinstance(plan, str) else plan
    return int(value[0]["Plan"]["Plan Rows"])
