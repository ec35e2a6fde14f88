"""What a database URL means to Django: the same for DATABASE_URL and for `manage.py transfer`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from environ import Env

SCHEMES = ("postgres", "postgresql", "sqlite")
WEB_STATEMENT_SECONDS = 20
QUERY_CANCELED = "57014"  # PostgreSQL's error codes


def described(name: str, value: str, base: Path) -> dict[str, Any]:
    """Return Django's description of a database; a relative path starts at `base`.

    Errors name `name`. The URL is never part of one: it may hold a password.
    """
    scheme = value.partition(":")[0]
    wrong = ImproperlyConfigured(
        f"{name} must be like postgres://user:password@host:5432/name or sqlite:////path/file."
    )
    if scheme not in SCHEMES or "://" not in value:
        raise wrong
    if scheme == "sqlite":
        path = value.removeprefix("sqlite://").removeprefix("/")
        if not path:
            raise wrong
        if ":memory:" in path:
            raise ImproperlyConfigured(
                f"{name} must name a file: each process would have a memory of its own."
            )
        file = str(base / path)
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": {}}
    try:
        database: dict[str, Any] = Env.db_url_config(value)
    except ValueError:
        raise wrong from None  # its cause quotes parts of the URL
    if not database.get("NAME"):
        raise wrong
    database.setdefault("OPTIONS", {})
    return database


def prepared(database: dict[str, Any]) -> dict[str, Any]:
    """Return the description with the options that PerfWatch needs."""
    # A connection per thread stays open and is looked at before each request.
    database = database | {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    if database["ENGINE"].endswith("sqlite3"):
        # Later it would only take the lock of writers, for which a page may have to wait.
        is_new = _is_empty(Path(database["NAME"]))
        auto_vacuum = "PRAGMA auto_vacuum=INCREMENTAL; " if is_new else ""
        database["OPTIONS"] |= {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            # page_size and auto_vacuum count only before journal_mode and before the first table.
            # For documents of 4 to 7 KB no page size takes less room than 4 KiB. No mmap_size: each
            # connection maps for itself, and four threads that read a large file held 1 GB.
            "init_command": (
                f"PRAGMA page_size=4096; {auto_vacuum}PRAGMA journal_mode=WAL;"
                "PRAGMA synchronous=NORMAL;"
            ),
        }
        return database
    # Nobody waits for long on a database that is away: sampling goes on without it.
    database["OPTIONS"] = {
        "connect_timeout": 2,
        "tcp_user_timeout": 5_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "application_name": "perfwatch",
    } | database["OPTIONS"]
    return database


def _is_empty(file: Path) -> bool:
    try:
        return file.stat().st_size == 0
    except OSError:
        return True


def limit_statements() -> None:
    """Have PostgreSQL end what lasts too long, on each connection that is opened from now on.

    For the web process: nobody waits any longer at the other end, and the next ones need the
    thread. Migrating, cleaning and importing may take their time.
    """
    from django.db.backends.signals import connection_created

    connection_created.connect(_limit, dispatch_uid="perfwatch.statement_timeout")


def _limit(connection: Any, **_: object) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, false)", [f"{WEB_STATEMENT_SECONDS}s"]
            )


def look_after_files() -> None:
    """Mend three habits of connections to a file of SQLite that are opened from now on."""
    from django.db.backends.signals import connection_created

    connection_created.connect(_look_after_file, dispatch_uid="perfwatch.files")


def _look_after_file(connection: Any, **_: object) -> None:
    if connection.vendor != "sqlite":
        return
    file = connection.settings_dict["NAME"]
    # SQLite opens a file that cannot be written to be read and stays with it, also when it can be
    # written again: such a connection is closed after its use.
    if not os.access(file, os.W_OK):
        connection.close_at = time.monotonic()
    # It would go on with a file in whose place another one is: what it writes is gone with it. This
    # is asked before each use, as health checks are on; SQLite's own answer is always yes.
    opened = _identity(file)
    connection.is_usable = lambda: _identity(file) == opened
    # Django leaves the cursor of a query that failed to the garbage collector, which runs in any
    # thread, and SQLite has that thread wait as long as another query of this connection waits.
    if _closing not in connection.execute_wrappers:
        connection.execute_wrappers.append(_closing)


def _closing(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    try:
        return execute(sql, params, many, context)
    except Exception:
        context["cursor"].close()
        raise


def _identity(file: str) -> tuple[int, int] | None:
    try:
        state = Path(file).stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def took_too_long(error: BaseException | None) -> bool:
    """Return whether a database's fault is that limit."""
    return getattr(error and error.__cause__, "sqlstate", None) == QUERY_CANCELED


@contextmanager
def known(alias: str, database: dict[str, Any]) -> Iterator[None]:
    """Have Django know another database by an alias, for a while."""
    from django.db import connections

    found = connections.configure_settings({"default": {}, alias: database})
    connections.databases[alias] = found[alias]
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]
