"""The database: whether it is there, how it is set up, and what is missing."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import Error as DatabaseFault
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from metrics.collectors.fields import Unit
from metrics.configuration import chosen_features
from metrics.doctor.base import LOCAL, Finding, Level
from metrics.formats import text_of
from metrics.querysets.settings import settings_of

POSTGRESQL = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "64MB",
    "checkpoint_completion_target": "0.9",
    "wal_buffers": "16MB",
    "default_statistics_target": "100",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
}
"""What docs/operations.md recommends, and why."""


def look() -> Iterator[Finding]:
    """Look at the server or the file, and at the tables."""
    name = connection.settings_dict["NAME"]
    if not is_there():
        yield Finding(
            "database",
            "file",
            Level.FAILED,
            f"{name} does not exist.",
            "`make run` or `manage.py migrate` makes it.",
        )
        return
    try:
        yield from _postgresql() if connection.vendor == "postgresql" else _sqlite(str(name))
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseFault as fault:
        reason = str(fault).strip().partition("\n")[0]
        yield Finding(
            "database", "connection", Level.FAILED, reason, "Look at DATABASE_URL and the server."
        )
        return
    names = ", ".join(f"{one.app_label}.{one.name}" for one, _ in missing)
    yield Finding(
        "database",
        "migrations",
        Level.FAILED if missing else Level.OK,
        f"not applied: {names}" if missing else "all applied",
        "`manage.py migrate` applies them." if missing else "",
    )


def is_there() -> bool:
    """Return whether connecting would not make a new, empty file."""
    return connection.vendor != "sqlite" or Path(str(connection.settings_dict["NAME"])).exists()


def features() -> dict[str, Any]:
    """Return the settings that collectors follow, as far as they can be read and are valid."""
    try:
        found = settings_of("features").get("features") if is_there() else None
    except DatabaseFault:
        found = None
    return chosen_features(found) or {}


def _sqlite(name: str) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        (version,) = cursor.execute("SELECT sqlite_version()").fetchone()
        (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
    size = text_of(Path(name).stat().st_size, Unit.BYTES)
    yield Finding("database", "SQLite", Level.OK, f"{version}, {name}, {size}")
    if mode != "wal":
        yield Finding(
            "database",
            "journal",
            Level.WARNING,
            f"journal_mode is {mode}: readers and the sampler block each other.",
            "Put the file on a local disk; network filesystems have no write-ahead log.",
        )
    if not os.access(name, os.W_OK) or not os.access(Path(name).parent, os.W_OK):
        yield Finding(
            "database",
            "writable",
            Level.FAILED,
            f"this user may not write {name} and its folder.",
            "Run as the user that `make run` runs as, or change the owner.",
        )


def _postgresql() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), pg_database_size(current_database()),"
            " current_setting('is_superuser') = 'on', current_user"
        )
        version, size, is_superuser, user = cursor.fetchone()
        cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        tls, protocol = cursor.fetchone() or (False, None)
        cursor.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
            [list(POSTGRESQL)],
        )
        current = dict(cursor.fetchall())
    yield Finding("database", "PostgreSQL", Level.OK, f"{version}, {text_of(size, Unit.BYTES)}")
    host = connection.settings_dict["HOST"]
    is_local = host in LOCAL or host.startswith("/")
    yield Finding(
        "database",
        "TLS",
        Level.OK if tls or is_local else Level.WARNING,
        str(protocol) if tls else "off" + ("; the server is on this host" if is_local else ""),
        "" if tls or is_local else "Add sslmode=verify-full&sslrootcert=… to DATABASE_URL.",
    )
    yield Finding(
        "database",
        "user",
        Level.WARNING if is_superuser else Level.OK,
        f"{user} is a superuser" if is_superuser else f"{user} is no superuser",
        "Give PerfWatch a user of its own that owns its database." if is_superuser else "",
    )
    for name, wanted in POSTGRESQL.items():
        if current.get(name) != wanted:
            yield Finding(
                "database",
                name,
                Level.NOTE,
                f"{current.get(name, 'unknown')}; docs/operations.md starts from {wanted}",
            )
