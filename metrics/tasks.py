"""What Celery runs. Sampling keeps its state, counters and descriptors, in this process."""

import functools
import logging
import time
from typing import Any

from celery import shared_task
from celery.exceptions import WorkerShutdown
from django.db import Error as DatabaseFault
from django.db import close_old_connections
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerFault

from metrics import rollups
from metrics.lock import lock_database
from metrics.models import Config
from metrics.patience import impatient
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


CHAIN_SECONDS = 30.0


class _Chain:
    """Steps of which each queues the next one. A second chain would only double the load."""

    busy_until = 0.0
    complaint = ""


@shared_task(name="metrics.tasks.roll_up", ignore_result=True)  # type: ignore[untyped-decorator]
def roll_up(follows: bool = False, **_: Any) -> None:
    """Do one step of rolling up and, where there is more to do, queue the next one.

    Beat sends the first; `follows` marks those that a step queued.
    """
    if not follows and time.monotonic() < _Chain.busy_until:
        return
    _Chain.busy_until = 0.0
    try:
        close_old_connections()
        with impatient():
            more = rollups.step(timezone.now())
        _Chain.complaint = ""
        if more:
            roll_up.apply_async(kwargs={"follows": True})
            _Chain.busy_until = time.monotonic() + CHAIN_SECONDS
    except BrokerFault:
        pass  # beat says that the broker is away
    except DatabaseFault as error:
        complaint = str(error).strip().partition("\n")[0]
        if complaint != _Chain.complaint:
            log.warning("Roll-ups wait until the next minute: %s", complaint)
        _Chain.complaint = complaint
