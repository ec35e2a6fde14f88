"""What Celery runs. Sampling keeps its state, counters and descriptors, in this process."""

import functools
import logging
from typing import Any

from celery import shared_task
from celery.exceptions import WorkerShutdown

from metrics.lock import lock_database
from metrics.models import Config
from metrics.sampling import Sampler
from metrics.storage import Ended, SnapshotStore
from metrics.system_info import system_info
from metrics.watched import host_key, watched_host

log = logging.getLogger("perfwatch.sampler")


@functools.cache
def sampler() -> Sampler:
    """Return the sampler of this process."""
    return Sampler(watched_host())


@functools.cache
def store() -> SnapshotStore:
    """Return the store of this process, whose connection holds the lock of this host."""
    return SnapshotStore(prepare=introduce_host)


def introduce_host() -> None:
    """Lock the database for this host, and write there what the host is."""
    lock_database(host_key())
    try:
        Config(key="system_info", value=system_info(watched_host())).save()
    except (OSError, ValueError, RuntimeError) as error:
        # An odd procfs; the collectors say for themselves what they cannot read.
        log.warning("config.system_info is not written: %s", error)


@shared_task(name="metrics.tasks.sample", ignore_result=True)  # type: ignore[untyped-decorator]
def sample(due: float, interval: int, features: dict[str, Any] | None = None, **_: Any) -> None:
    """Take the sample that was due at `due` (seconds of the epoch) and hand it to the store."""
    try:
        store().put(sampler().sample(due=due, interval=interval, features=features))
    except Ended as error:
        raise WorkerShutdown(1) from error
