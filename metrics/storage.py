"""Writes snapshots to the database in a thread of its own, and spools them while it is away."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.conf import settings
from django.db import (
    DataError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    connections,
    transaction,
)
from django.db import Error as DatabaseFault
from django.db.backends.base.base import BaseDatabaseWrapper

from metrics.models import AGGREGATED, MetricsSnapshot
from metrics.querysets.snapshots import snapshots
from metrics.sampling import Snapshot
from metrics.spool import Entry, InUse, Spool, Waiting
from metrics.spooled import Spooled, tell

log = logging.getLogger("perfwatch.storage")

RETRY_SECONDS = 3.0
CLOSE_SECONDS = 3.0
LOOK_SECONDS = 1.0
LONGEST_UNSAFE = 2.0
"""A sample that the database has not taken for so many seconds is spooled, whatever the reason."""

LONGEST_SILENCE = 10.0
"""A connection on which no answer came for so many seconds is given up."""

BATCH = 100


class Ended(Exception):
    """The thread that writes has ended; its cause says why."""


class SnapshotStore:
    """The one writer of live snapshots: in order, none lost, none twice.

    Sampling waits neither for the database nor for the disk. One thread writes to the database,
    which costs nothing else as long as that works. Another one looks after what it does not take:
    it brings it to the spool, and gives a connection up that does not answer. A sample is taken
    when one of the two has it.

    `prepare` is the first thing that the writer does, in the connection that it will write with,
    again and again until the database takes it; what it raises beyond a database's fault ends the
    thread, and then `put` raises Ended.
    """

    def __init__(
        self,
        spool: Spool | None = None,
        waiting: Waiting | None = None,
        prepare: Callable[[], None] = lambda: None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        if spool is None:
            spool = Spool(settings.PERFWATCH_DATA_DIR / "spool.jsonl")
        self.spool = spool
        self.waiting = waiting if waiting is not None else Waiting()
        self.dropped = 0
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._prepare = prepare
        self._retry_seconds = retry_seconds
        self._news = threading.Event()
        self._hurry = threading.Event()
        self._closing = threading.Event()
        self._closed = threading.Event()
        self._prepared = threading.Event()
        self._away = self._trouble = ""
        self._unspooled = self._dropping = False
        self._asked_at: float | None = None
        self._told: Spooled | None = None
        self._connection: BaseDatabaseWrapper | None = None
        self._writer = threading.Thread(target=self._run, name="writer", daemon=True)
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def unstored(self) -> int:
        """Return how many samples the database does not have yet."""
        return len(self.spool) + len(self.waiting)

    def start(self, patience: float) -> None:
        """Start the threads; raise what `prepare` raised within `patience` seconds, and InUse."""
        try:
            self.spool.open()
        except OSError as error:
            self._cannot_spool(error)
        if self.spool:
            log.warning("%d samples of an earlier run are in %s.", len(self.spool), self.spool.path)
        self._keeper.start()
        self._writer.start()
        self._news.set()
        self._prepared.wait(patience)
        if self.failure:
            raise self.failure

    def put(self, snapshot: Snapshot) -> None:
        """Take over one snapshot; raise Ended where nobody writes any more."""
        if self.failure:
            raise Ended(str(self.failure)) from self.failure
        snapshot.data["sampler"]["spooled"] = self.unstored()
        snapshot.data["sampler"]["dropped"] = self.dropped
        if self.waiting.add(Entry.of(snapshot)):
            self.dropped += 1
            if not self._dropping:
                self._dropping = True
                log.error("Too many samples wait in memory: the oldest are dropped, and counted.")
        self._news.set()
        if self._away:
            self._hurry.set()

    def complain(self, trouble: str) -> None:
        """Have the pages say why no sample comes; "" when one does."""
        self._trouble = trouble

    def stop(self) -> None:
        """Ask the writer to write what waits, a last time, and to end."""
        self._closing.set()
        self._news.set()

    def close(self) -> None:
        """Stop and wait for the threads, not for long; say what is left and what is lost."""
        self.stop()
        self._writer.join(CLOSE_SECONDS)
        self._closed.set()
        self._hurry.set()
        self._keeper.join(1.0)
        if not self._keeper.is_alive():  # else the disk does not answer either
            self._to_spool()
            self._say()
            self.spool.close()
        if self.spool:
            log.warning("%d samples stay in %s.", len(self.spool), self.spool.path)
        if self.waiting:
            log.error("%d samples could not be written and are lost.", len(self.waiting))

    # --- The thread that writes to the database -------------------------------------------------

    def _run(self) -> None:
        self._connection = connections[connection.alias]
        try:
            self._until_done(self._prepare)
            if self.spool:
                self._until_done(self._go_on_behind_the_newest)
            while not self._closing.is_set():
                self._news.wait()
                self._news.clear()
                self._until_done(self._write)
            if self.unstored():
                self._guarded(self._write)
        except Exception as error:  # handed to the thread that samples, which ends the process
            log.error("Samples cannot be stored any more: %s", error)
            self.failure = error
            self.on_failure()
        finally:
            self._prepared.set()
            connection.close()

    def _until_done(self, step: Callable[[], None]) -> None:
        done = False
        while not done:
            done = self._guarded(step)
            self._prepared.set()
            done = done or self._closing.wait(self._retry_seconds)

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Do one step with the database; say once that it is away, and once that it is back."""
        self._asked_at = time.monotonic()
        try:
            close_old_connections()
            step()
        except DatabaseFault as error:
            self._is_away(reason_of(error), str(error).strip().partition("\n")[0])
            return False
        finally:
            self._asked_at = None
        return True

    def _go_on_behind_the_newest(self) -> None:
        """Forget what an earlier process has written: lines are written in their order.

        Looking each of them up is not enough where they are so old that they were folded since.
        """
        newest = snapshots().filter(id__in=[row.id for row in snapshots().newest().rows])
        for id in newest.values_list("metric_data__sampler__id", flat=True):
            if written := self.spool.up_to(str(id)):
                self.spool.remove(written)

    def _write(self) -> None:
        count = 0
        while True:
            # What is moved to the spool is there before it is gone here, so order is kept.
            fresh = self.waiting.oldest(BATCH)
            self._asked_at = time.monotonic()
            if spooled := self.spool.oldest(BATCH):
                self._insert(spooled.entries, look_first=True)
                self.spool.remove(spooled)
                count += len(spooled.entries)
                if self._closing.is_set():
                    return  # the others are safe where they are
            elif fresh:
                self._insert(fresh, look_first=bool(self._away))
                self.waiting.remove(fresh)
                count += len(fresh)
            else:
                break
        if self._away:
            log.warning(
                "The database is back: %d kept samples are written, %d had to be dropped.",
                count,
                self.dropped,
            )
        self._away = ""
        self._dropping = False

    def _insert(self, entries: Sequence[Entry], *, look_first: bool) -> None:
        try:
            insert_new(entries, look_first=look_first)
        except (DataError, ValueError):
            for one in entries:
                self._insert_one(one)

    def _insert_one(self, entry: Entry) -> None:
        """Write one of a batch of which the database refuses one for what it says."""
        try:
            insert_new([entry], look_first=True)
        except (DataError, ValueError) as error:  # ValueError: it is no JSON
            self.dropped += 1
            log.error(
                "The sample of %s is dropped, the database refuses what it says: %s",
                entry.timestamp,
                str(error).strip().partition("\n")[0],
            )

    # --- The thread that looks after what the database does not take -----------------------------

    def _keep(self) -> None:
        while not self._closed.is_set():
            self._hurry.wait(LOOK_SECONDS)
            self._hurry.clear()
            if self.waiting.age() > LONGEST_UNSAFE:
                self._is_away("the database does not answer", "it does not answer")
            if self._away:
                self._to_spool()
            elif self._unspooled:
                self._open_again()
            self._say()
            asked_at = self._asked_at
            if asked_at and time.monotonic() - asked_at > LONGEST_SILENCE:
                self._asked_at = time.monotonic()
                if self._connection:
                    give_up(self._connection)

    def _is_away(self, reason: str, details: str) -> None:
        if not self._away:
            log.error(
                "The database does not take samples (%s). They are kept in %s, and written when "
                "it is back.",
                details,
                self.spool.path,
            )
            self._hurry.set()
        self._away = reason

    def _to_spool(self) -> None:
        while entries := self.waiting.oldest(BATCH):
            try:
                self.spool.append(entries)
            except (OSError, InUse) as error:
                self._cannot_spool(error)
                return
            self.waiting.remove(entries)
            self._unspooled = False
            self._news.set()  # the writer may have found the spool empty a moment ago

    def _open_again(self) -> None:
        """Go on with what an earlier process has left, now that it can be read."""
        with suppress(OSError, InUse):
            self.spool.open()
            self._unspooled = False
            self._news.set()

    def _cannot_spool(self, error: OSError | InUse) -> None:
        if not self._unspooled:
            why = getattr(error, "strerror", None) or error
            log.error(
                "%s cannot be written (%s): samples are kept in memory.", self.spool.path, why
            )
        self._unspooled = True

    def _say(self) -> None:
        """Tell the pages, where there is something new; a disk that is full has room for that."""
        now = Spooled(dropped=self.dropped, trouble=self._trouble)
        if self._away or self.spool:
            reason = self._away
            if reason and self._unspooled:
                reason += ", and the spool cannot be written"
            oldest = self.waiting.oldest(1)
            since = self.spool.since or (oldest[0].timestamp if oldest else None)
            now = Spooled(self.unstored(), since, reason, self.dropped, self._trouble)
        if now != self._told:
            with suppress(OSError):  # it is said again in a second
                tell(now, self.spool.path.parent)
                self._told = now


def reason_of(error: Exception) -> str:
    """Return in words that anybody may read why the database takes nothing."""
    text = str(error).lower()
    for part, words in (
        ("full", "its disk is full"),
        ("no space left", "its disk is full"),
        ("read-only", "it is read-only"),
        ("readonly", "it is read-only"),
        ("locked", "it is locked"),
    ):
        if part in text:
            return f"the database takes nothing, {words}"
    if isinstance(error, OperationalError | InterfaceError):
        return "the database is away"
    return "the database refuses them"


def give_up(database: BaseDatabaseWrapper) -> None:
    """Cut a connection in which another thread waits for an answer that may never come.

    A server that is stopped, or a router that lost its memory, leaves a connection open for ever.
    SQLite has its own time-out.
    """
    session = database.connection  # the other thread may close it at this moment
    if database.vendor != "postgresql" or session is None:
        return
    with (
        suppress(OSError, DatabaseFault),
        database.wrap_database_errors,
        socket.socket(fileno=os.dup(session.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)


def insert_new(entries: Sequence[Entry], *, look_first: bool) -> None:
    """Insert a batch in one transaction.

    With `look_first` those are left out that were stored although the answer got lost.
    """
    with transaction.atomic():
        stored = _stored_ids(entries) if look_first else set()
        new = {entry.id: entry for entry in entries if entry.id not in stored}
        MetricsSnapshot.objects.bulk_create(
            MetricsSnapshot(
                timestamp=entry.timestamp,
                metric_type=AGGREGATED,
                metric_data=json.loads(entry.text),
            )
            for entry in new.values()
        )


def _stored_ids(entries: Sequence[Entry]) -> set[str]:
    rows = MetricsSnapshot.objects.filter(
        metric_type=AGGREGATED, timestamp__in=[one.timestamp for one in entries]
    )
    return set(rows.values_list("metric_data__sampler__id", flat=True))
