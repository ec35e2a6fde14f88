"""Keeps the tables tidy: statistics and free room, indexes, and the whole file written anew.

Each job runs outside of transactions. While a table is locked, samples are taken and kept; they
are written afterwards (`metrics/storage.py`).
"""

import logging
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from django.contrib.sessions.models import Session
from django.db import connection

from metrics import sizes
from metrics.lock import only_one
from metrics.models import Config
from metrics.querysets.settings import settings_of

log = logging.getLogger("perfwatch.maintenance")

JOB = "maintenance"
KEY = "maintenance"
TABLES = ("metrics_snapshot", "metrics_rollup")
PAGES = 100
"""Pages that SQLite gives back in one transaction: about 10 ms."""

LOCK_MILLISECONDS = 60_000
"""How long a job waits for a lock on PostgreSQL; meanwhile others wait behind it."""

DUE = {"vacuum": timedelta(days=1), "reindex": timedelta(days=7)}
"""What beat does by itself, and how often. `compact` is for people only."""


class Result(NamedTuple):
    """What a job did: bytes on disk before and after, and seconds."""

    before: int
    after: int
    seconds: float


class Need(NamedTuple):
    """What `compact` needs: bytes beside what is there, bytes that are free, or None, and locks."""

    bytes: int
    free: int | None
    lock: str


def do(job: str, now: datetime) -> Result:
    """Do a job: vacuum, reindex or compact. Raises lock.Held where one is under way."""
    with only_one(JOB):
        began, before = time.monotonic(), sizes.file_bytes()
        if job == "vacuum":  # each login leaves a row, and Django deletes none of them
            Session.objects.filter(expire_date__lt=now).delete()
        JOBS[job][connection.vendor]()
        done = settings_of(KEY).get(KEY)
        done = done if isinstance(done, dict) else {}
        Config(key=KEY, value=done | {job: now.isoformat(timespec="seconds")}).save()
        return Result(before, sizes.file_bytes(), time.monotonic() - began)


def last_done() -> dict[str, datetime]:
    """Return when each job was done last."""
    found = settings_of(KEY).get(KEY)
    times: dict[str, datetime] = {}
    for job, text in found.items() if isinstance(found, dict) else ():
        try:
            at = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            continue
        if at.tzinfo:
            times[job] = at
    return times


def do_what_is_due(now: datetime) -> list[str]:
    """Do what has not been done for its time; the first time is counted from now on."""
    done, jobs = last_done(), []
    for job, every in DUE.items():
        if job not in done:
            # Not at once: who starts PerfWatch wants to see it work.
            value = {one: at.isoformat(timespec="seconds") for one, at in last_done().items()}
            Config(key=KEY, value=value | {job: now.isoformat(timespec="seconds")}).save()
        elif not timedelta(0) <= now - done[job] < every:
            result = do(job, now)
            log.info("Maintenance: %s took %.1f s.", job, result.seconds)
            jobs.append(job)
    return jobs


def need() -> Need:
    """Return what writing everything anew would need."""
    size = sizes.file_bytes()
    if connection.vendor == "postgresql":
        return Need(size, None, "Nobody can read or write snapshots")
    folder = Path(connection.settings_dict["NAME"]).parent
    # A copy is made in the folder for temporary files and passes through the write-ahead log.
    return Need(2 * size, shutil.disk_usage(folder).free, "Nobody can write to the database")


def _postgresql(*statements: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            before = cursor.fetchone()[0]
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [str(LOCK_MILLISECONDS)])
            try:
                _drop_leftovers(cursor)
                for table in TABLES:
                    for statement in statements:
                        cursor.execute(statement.format(table))
            finally:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])

    return run


def _drop_leftovers(cursor: Any) -> None:
    """Drop what REINDEX CONCURRENTLY leaves behind when it is stopped half-way."""
    cursor.execute(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_index i"
        " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_class t ON t.oid = i.indrelid WHERE NOT i.indisvalid"
        " AND c.relname ~ '_ccnew[0-9]*$' AND t.relname = ANY(%s)",
        [list(TABLES)],
    )
    for (name,) in cursor.fetchall():
        cursor.execute(f"DROP INDEX CONCURRENTLY {name}")


def _sqlite(*statements: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement).fetchall()

    return run


def _give_back() -> None:
    """Return free pages to the file system, a few at a time, so that samples get in between."""
    with connection.cursor() as cursor:
        while free := _number(cursor, "PRAGMA freelist_count"):
            # As a script: each page is a step without a column, and execute() ends with the first.
            connection.connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
            if _number(cursor, "PRAGMA freelist_count") >= free:
                break  # a file that was made without auto_vacuum
            time.sleep(0.01)
    _sqlite("PRAGMA analysis_limit = 1000", "ANALYZE")()


def _number(cursor: Any, sql: str) -> int:
    return int(cursor.execute(sql).fetchone()[0])


JOBS: dict[str, dict[str, Callable[[], None]]] = {
    "vacuum": {"postgresql": _postgresql("VACUUM (ANALYZE) {}"), "sqlite": _give_back},
    "reindex": {
        "postgresql": _postgresql("REINDEX TABLE CONCURRENTLY {}"),
        "sqlite": _sqlite("REINDEX metrics_snapshot", "REINDEX metrics_rollup"),
    },
    "compact": {
        "postgresql": _postgresql("VACUUM (FULL, ANALYZE) {}"),
        "sqlite": _sqlite("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"),
    },
}
