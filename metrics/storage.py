"""Writes snapshots to the database in a thread of its own, and keeps them while it is away."""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from django.db import DataError, close_old_connections, connection, transaction
from django.db import Error as DatabaseFault

from metrics.models import AGGREGATED, MetricsSnapshot
from metrics.sampling import Snapshot

log = logging.getLogger("perfwatch.storage")

RETRY_SECONDS = 3.0
CLOSE_SECONDS = 3.0
HANG_SECONDS = 10.0
BATCH = 100


class Ended(Exception):
    """The thread that writes has ended; its cause says why."""


def identity(snapshot: Snapshot) -> str:
    """Return the snapshot's own identifier, by which it is stored once."""
    return str(snapshot.data["sampler"]["id"])


class Waiting:
    """Snapshots that are not stored yet, oldest first: bounded, in memory, for two threads.

    The durable spool takes this place; what it must offer is what this class offers.
    """

    def __init__(self, limit: int = 5_000) -> None:
        # As text a snapshot takes a tenth of the memory of its objects.
        self._texts: deque[tuple[str, datetime, str, float]] = deque()
        self._lock = threading.Lock()
        self._limit = limit
        self.dropped = 0
        self.dropped_now = False

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, snapshot: Snapshot) -> None:
        """Keep one more; beyond the limit the oldest is dropped and counted."""
        text = json.dumps(snapshot.data, separators=(",", ":"))
        with self._lock:
            self._texts.append((identity(snapshot), snapshot.timestamp, text, time.monotonic()))
            if len(self._texts) > self._limit:
                self._texts.popleft()
                self.dropped += 1
                self.dropped_now = True

    def age(self) -> float:
        """Return for how many seconds the oldest has been waiting."""
        with self._lock:
            return time.monotonic() - self._texts[0][3] if self._texts else 0.0

    def oldest(self, count: int) -> list[Snapshot]:
        """Return the `count` oldest, which stay until they are removed."""
        with self._lock:
            chosen = [self._texts[index] for index in range(min(count, len(self._texts)))]
        return [Snapshot(timestamp, json.loads(text)) for _, timestamp, text, _ in chosen]

    def remove(self, batch: list[Snapshot]) -> None:
        """Forget those of `batch` that are still kept: the database has them."""
        stored = {identity(snapshot) for snapshot in batch}
        with self._lock:
            while self._texts and self._texts[0][0] in stored:
                self._texts.popleft()


class SnapshotStore:
    """The one writer of live snapshots: in order, none lost, none twice.

    Sampling never waits for the database: a database that hangs costs no tick. `prepare` is the
    first thing that the thread does, in the connection that it will write with, again and again
    until the database takes it; what it raises beyond a database's fault ends the thread, and
    then `put` raises Ended.
    """

    def __init__(
        self,
        waiting: Waiting | None = None,
        prepare: Callable[[], None] = lambda: None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self.waiting = waiting if waiting is not None else Waiting()
        self._prepare = prepare
        self._retry_seconds = retry_seconds
        self._news = threading.Event()
        self._closing = threading.Event()
        self._prepared = threading.Event()
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._away = self._dropping = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self, patience: float) -> None:
        """Start the thread; raise what `prepare` raised within `patience` seconds."""
        self._thread.start()
        self._prepared.wait(patience)
        if self.failure:
            raise self.failure

    def put(self, snapshot: Snapshot) -> None:
        """Take over one snapshot; raise Ended where nobody writes any more."""
        if self.failure:
            raise Ended(str(self.failure)) from self.failure
        snapshot.data["sampler"]["spooled"] = len(self.waiting)
        snapshot.data["sampler"]["dropped"] = self.waiting.dropped
        self.waiting.add(snapshot)
        self._news.set()
        self._complain()

    def stop(self) -> None:
        """Ask the thread to write what waits, a last time, and to end."""
        self._closing.set()
        self._news.set()

    def close(self) -> None:
        """Stop and wait for the thread, not for long; say what is lost."""
        self.stop()
        self._thread.join(CLOSE_SECONDS)
        if self.waiting:
            log.error("%d samples could not be written and are lost.", len(self.waiting))

    def _run(self) -> None:
        try:
            self._until_done(self._prepare)
            while not self._closing.is_set():
                self._news.wait()
                self._news.clear()
                self._until_done(self._write)
            if self.waiting:
                self._guarded(self._write)
        except Exception as error:  # handed to the thread that samples, which ends the process
            log.error("Samples cannot be stored any more: %s", error)
            self.failure = error
            self.on_failure()
        finally:
            self._prepared.set()
            connection.close()

    def _complain(self) -> None:
        """Say once that the database hangs, which raises nothing, and that samples are dropped."""
        if not self._away and self.waiting.age() > HANG_SECONDS:
            self._away = True
            log.error("The database does not answer. Samples are kept in memory until it does.")
        if not self._dropping and self.waiting.dropped_now:
            self._dropping = True
            log.error("Too many samples wait for the database: the oldest are dropped, counted.")

    def _until_done(self, step: Callable[[], None]) -> None:
        done = False
        while not done:
            done = self._guarded(step)
            self._prepared.set()
            done = done or self._closing.wait(self._retry_seconds)

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Do one step with the database; say once that it is away, and once that it is back."""
        try:
            close_old_connections()
            step()
        except DatabaseFault as error:
            if not self._away:
                log.error(
                    "The database does not take samples (%s). They are kept in memory, and "
                    "written when it is back.",
                    str(error).strip().partition("\n")[0],
                )
            self._away = True
            return False
        return True

    def _write(self) -> None:
        count = 0
        while batch := self.waiting.oldest(BATCH):
            try:
                insert_new(batch, look_first=self._away)
            except DataError:
                self._write_singly(batch)
            self.waiting.remove(batch)
            count += len(batch)
        if self._away:
            log.warning(
                "The database is back: %d kept samples are written, %d had to be dropped.",
                count,
                self.waiting.dropped,
            )
        self._away = self._dropping = self.waiting.dropped_now = False

    def _write_singly(self, batch: list[Snapshot]) -> None:
        """Write a batch of which the database refuses one for what it says, but not the rest."""
        for one in batch:
            try:
                insert_new([one], look_first=True)
            except DataError as error:
                self.waiting.dropped += 1
                log.error(
                    "The sample of %s is dropped, the database refuses what it says: %s",
                    one.timestamp,
                    str(error).strip().partition("\n")[0],
                )


def insert_new(batch: list[Snapshot], *, look_first: bool) -> None:
    """Insert a batch in one transaction.

    With `look_first` those are left out that were stored although the answer got lost.
    """
    with transaction.atomic():
        stored = _stored_ids(batch) if look_first else set()
        MetricsSnapshot.objects.bulk_create(
            MetricsSnapshot(timestamp=one.timestamp, metric_type=AGGREGATED, metric_data=one.data)
            for one in batch
            if identity(one) not in stored
        )


def _stored_ids(batch: list[Snapshot]) -> set[str]:
    rows = MetricsSnapshot.objects.filter(
        metric_type=AGGREGATED, timestamp__in=[one.timestamp for one in batch]
    )
    return set(rows.values_list("metric_data__sampler__id", flat=True))
