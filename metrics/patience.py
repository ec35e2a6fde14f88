"""How long maintenance waits for a lock: hardly at all, it can come again."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

MILLISECONDS = 100


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
