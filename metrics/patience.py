"""How long maintenance waits for a lock: hardly at all, it can come again; and when it rests."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

MILLISECONDS = 100

WORK_SECONDS = 0.5
"""So long steps of maintenance follow each other without a rest."""

REST_SECONDS = {"sqlite": 0.15, "postgresql": 0.0}
"""Who waits for SQLite's write lock, such as the sampler, looks every 0.1 s."""


@contextmanager
def impatient() -> Iterator[None]:
    """Have SQLite say at once that somebody else writes: samples are due in this process.

    On PostgreSQL rows are locked without waiting by those who ask for it.
    """
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        before = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {MILLISECONDS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {before}")
