"""One sampler per host: a lock file and, on PostgreSQL, an advisory lock."""

import fcntl
import hashlib
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

NAMESPACE = 0x50657266  # "Perf": the first half of the advisory lock's key
APPLICATION = "perfwatch-sampler"
KEEPALIVES = (
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
)


class Held(Exception):
    """The lock cannot be had; the message says why, and who has it."""


def lock_path() -> Path:
    """Return where the lock file is: beside a SQLite file, else in the data folder."""
    if connection.vendor == "sqlite":
        return Path(f"{connection.settings_dict['NAME']}.sampler.lock")
    path: Path = settings.PERFWATCH_DATA_DIR / "sampler.lock"
    return path


def lock_file(path: Path) -> IO[str]:
    """Lock `path` while the returned file is open; raise Held if another process has it."""
    try:
        file = path.open("a+")
    except OSError as error:
        raise Held(f"The sampler cannot lock {path}: {error.strerror}.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise Held(f"A sampler runs on this host already: {holder}.") from None
    file.truncate(0)
    started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with suppress(OSError):  # it is locked, if a full disk has no room for the words
        os.write(file.fileno(), f"process {os.getpid()}, since {started}".encode())
    return file


@contextmanager
def only_one(job: str) -> Iterator[None]:
    """Do something that no other process or thread does to this database at the same time.

    Raises Held where one is at it. The lock goes with its holder, however that ends.
    """
    if connection.vendor == "sqlite":
        path = Path(f"{connection.settings_dict['NAME']}.{job}.lock")
        try:
            file = path.open("a+")
        except OSError as error:
            raise Held(f"{path} cannot be locked: {error.strerror}.") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Held(f"Another {job} is under way. Wait until it is done.") from None
            yield
        return
    key = [NAMESPACE, advisory_key(job)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        if not cursor.fetchone()[0]:
            raise Held(f"Another {job} is under way. Wait until it is done.")
    try:
        yield
    finally:
        # A connection that is gone, or whose transaction failed, has let go or will.
        with suppress(DatabaseFault), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def advisory_key(host_id: str) -> int:
    """Return the second half of the advisory lock's key: 32 bits of the host."""
    return int.from_bytes(hashlib.sha256(host_id.encode()).digest()[:4], "big", signed=True)


def lock_database(host_id: str) -> None:
    """Take the host's advisory lock now and on every later connection of this thread.

    The lock lives as long as the connection. Raises Held if another session has it. SQLite has
    no such locks; the lock file stands beside its file instead.
    """
    if connection.vendor != "postgresql":
        return
    key = advisory_key(host_id)
    owner = threading.get_ident()
    # PostgreSQL cuts a name off after 63 bytes, and in containers every process may be number 1.
    token = secrets.token_hex(4)
    name = f"{APPLICATION} {token} pid {os.getpid()} on {socket.gethostname()}"[:63]

    def take(connection: BaseDatabaseWrapper, **_: object) -> None:
        if threading.get_ident() != owner:
            return  # the connection of another thread, which only reads
        try:
            take_on(connection)
        except DatabaseFault:
            connection.close()  # else it would be used without the lock
            raise

    def take_on(connection: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [name])
            # Else the server keeps the lock of a host that lost its power for two hours.
            for option, value in KEEPALIVES:
                cursor.execute("SELECT set_config(%s, %s, false)", [option, value])
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [NAMESPACE, key])
            if cursor.fetchone()[0]:
                return
            cursor.execute(
                "SELECT a.application_name, a.client_addr::text, pid FROM pg_locks l "
                "JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted "
                "AND l.classid::bigint = %s AND l.objid::bigint = %s",
                [NAMESPACE, key & 0xFFFFFFFF],
            )
            holder = cursor.fetchone()
            ours = holder and holder[0] == name
            if ours:  # a lost connection, which the server has not noticed yet
                cursor.execute("SELECT pg_terminate_backend(%s)", [holder[2]])
        if ours:
            raise OperationalError("the connection before this one still holds the lock")
        who = f"{holder[0]}, connected from {holder[1] or 'this machine'}" if holder else "unknown"
        raise Held(f"A sampler of this host writes to this database already: {who}.")

    connection_created.connect(take, weak=False, dispatch_uid="perfwatch.sampler.lock")
    connection.close()
    connection.ensure_connection()
