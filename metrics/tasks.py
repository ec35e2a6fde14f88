"""What Celery runs. Sampling keeps its state, counters and descriptors, in this process."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from celery.exceptions import WorkerShutdown

from metrics.lock import Held
from metrics.sampling import Sampler
from metrics.storage import SnapshotStore
from metrics.watched import watched_host

log = logging.getLogger("perfwatch.sampler")


@functools.cache
def sampler() -> Sampler:
    """Return the sampler of this process."""
    return Sampler(watched_host())


@functools.cache
def store() -> SnapshotStore:
    """Return the store of this process, with what is waiting to be written."""
    return SnapshotStore()


@contextmanager
def alone() -> Iterator[None]:
    """End the process where another sampler of this host took the lock.

    That happens when the connection to the database was lost and the other was quicker.
    """
    try:
        yield
    except Held as error:
        log.error("%s", error)
        raise WorkerShutdown(1) from error


@shared_task(name="metrics.tasks.sample", ignore_result=True)  # type: ignore[untyped-decorator]
def sample(due: float, interval: int, **_: Any) -> None:
    """Take the sample that was due at `due` (seconds of the epoch) and store it."""
    with alone():
        store().put(sampler().sample(due=due, interval=interval))


@shared_task(name="metrics.tasks.write_waiting", ignore_result=True)  # type: ignore[untyped-decorator]
def write_waiting() -> None:
    """Write samples that the database did not take: the next one may be an hour away."""
    with alone():
        store().write_waiting()
