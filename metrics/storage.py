"""Writes snapshots to the database, and keeps them while it is away."""

import json
import logging
import time
from collections import deque
from collections.abc import Callable

from django.db import Error as DatabaseFault
from django.db import close_old_connections, transaction

from metrics.models import AGGREGATED, MetricsSnapshot
from metrics.sampling import Snapshot

log = logging.getLogger("perfwatch.storage")

RETRY_SECONDS = 3.0
BATCH = 100
DRAIN_SECONDS = 0.2
"""How long one turn may write what waits: the next sample is due soon."""


class Waiting:
    """Snapshots that the database could not take, oldest first: bounded, in memory.

    The durable spool takes this place; what it must offer is what this class offers.
    """

    def __init__(self, limit: int = 5_000) -> None:
        # As text a snapshot takes a tenth of the memory of its objects.
        self._texts: deque[tuple[Snapshot, str]] = deque()
        self._limit = limit
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, snapshot: Snapshot) -> None:
        """Keep one more; beyond the limit the oldest is dropped and counted."""
        text = json.dumps(snapshot.data, separators=(",", ":"))
        self._texts.append((snapshot._replace(data={}), text))
        if len(self._texts) > self._limit:
            self._texts.popleft()
            self.dropped += 1

    def oldest(self, count: int) -> list[Snapshot]:
        """Return the `count` oldest, which stay until they are removed."""
        chosen = [self._texts[index] for index in range(min(count, len(self)))]
        return [snapshot._replace(data=json.loads(text)) for snapshot, text in chosen]

    def remove(self, count: int) -> None:
        """Forget the `count` oldest: the database has them."""
        for _ in range(count):
            self._texts.popleft()


class SnapshotStore:
    """The one writer of live snapshots: in order, none lost, none twice."""

    def __init__(
        self, waiting: Waiting | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.waiting = waiting if waiting is not None else Waiting()
        self._monotonic = monotonic
        self._retry_at = 0.0
        self._written = 0

    def put(self, snapshot: Snapshot) -> None:
        """Store one snapshot, or keep it until the database is back.

        After a failure the database is asked again every few seconds only: each attempt may
        last as long as its time-out, and the next sample is due.
        """
        snapshot.data["sampler"]["spooled"] = len(self.waiting)
        snapshot.data["sampler"]["dropped"] = self.waiting.dropped
        if self.waiting:
            self.waiting.add(snapshot)
            self.write_waiting()
        elif not self._write(lambda: _insert([snapshot])):
            self.waiting.add(snapshot)

    def write_waiting(self) -> None:
        """Write some of what waits, unless the database was asked a moment ago."""
        if self.waiting and self._monotonic() >= self._retry_at:
            self._write(self._drain)

    def close(self) -> None:
        """Write all that waits, a last time; what the database still refuses is lost and said."""
        while self.waiting and self._write(self._drain):
            pass
        if self.waiting:
            log.error("%d samples could not be written and are lost.", len(self.waiting))

    def _write(self, write: Callable[[], None]) -> bool:
        try:
            close_old_connections()
            write()
        except DatabaseFault as error:
            if not self.waiting:
                log.error(
                    "The database does not take samples (%s). They are kept in memory, and "
                    "written when it is back.",
                    str(error).strip().partition("\n")[0],
                )
            self._retry_at = self._monotonic() + RETRY_SECONDS
            return False
        return True

    def _drain(self) -> None:
        until = self._monotonic() + DRAIN_SECONDS
        while batch := self.waiting.oldest(BATCH):
            stored = _stored_ids(batch)
            _insert([one for one in batch if one.data["sampler"]["id"] not in stored])
            self.waiting.remove(len(batch))
            self._written += len(batch)
            if self._monotonic() >= until and self.waiting:
                return
        log.warning(
            "The database is back: %d kept samples are written, %d had to be dropped.",
            self._written,
            self.waiting.dropped,
        )
        self._written = 0


def _insert(batch: list[Snapshot]) -> None:
    with transaction.atomic():
        MetricsSnapshot.objects.bulk_create(
            MetricsSnapshot(timestamp=one.timestamp, metric_type=AGGREGATED, metric_data=one.data)
            for one in batch
        )


def _stored_ids(batch: list[Snapshot]) -> set[str]:
    """Return the `sampler.id` of those that were stored although the answer got lost."""
    rows = MetricsSnapshot.objects.filter(
        metric_type=AGGREGATED, timestamp__in=[one.timestamp for one in batch]
    )
    return set(rows.values_list("metric_data__sampler__id", flat=True))
