"""What Celery runs. Sampling keeps its state, counters and descriptors, in this process."""

import functools
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from celery import shared_task, signals
from celery.exceptions import WorkerShutdown
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import close_old_connections, connection
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerFault

from metrics import maintenance, retention, rollups, watchdog
from metrics.configuration import sampling_interval
from metrics.lock import Held, lock_database
from metrics.models import ArchivePolicy, Config
from metrics.patience import REST_SECONDS, WORK_SECONDS, impatient
from metrics.querysets.settings import settings_of
from metrics.sampling import Sampler
from metrics.stopping import Stop
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


def interval_now() -> float | None:
    """Return the seconds between two samples as they are set now; None where nobody knows."""
    try:
        close_old_connections()
        return sampling_interval(settings_of("sampling").get("sampling"))
    except DatabaseFault:
        return None
    finally:
        connection.close()


@signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
def guard_maintenance(sender: Any, **_: Any) -> None:
    """Watch over the worker of the maintenance queue; the sampler looks after itself."""
    Stop().listen()
    messages = functools.partial(watchdog.waiting_in, sender.app, settings.MAINTENANCE_QUEUE)
    # Beat sends something every minute. Without it a restart would not help.
    dog = watchdog.Watchdog(messages, lambda: None, watchdog.end_at_once, patience=math.inf)
    watchdog.guard(dog, between=MINUTE)


MINUTE = 60.0
CHAIN_SECONDS = 30.0
MOST_TRIES = 20
RUN_SECONDS = 3_600
"""Cleaning up is due so long after the last time."""


class _Chain:
    """Steps of which each queues the next one. A second chain would only double the load."""

    def __init__(self, what: str, until: str) -> None:
        self.busy_until = 0.0
        self.began = 0.0
        self.complaint = ""
        self._words = f"{what} until {until}: %s"

    @contextmanager
    def link(self, follows: bool) -> Iterator[bool]:
        """Do one step, impatiently; False where another chain is under way.

        What the database refuses is logged once.
        """
        if not follows and time.monotonic() < self.busy_until:
            yield False
            return
        self.busy_until = 0.0
        if not follows:
            self.began = time.monotonic()
        try:
            close_old_connections()
            with impatient():
                yield True
            self.complaint = ""
        except BrokerFault:
            pass  # beat says that the broker is away
        except (DatabaseFault, Held) as error:
            complaint = str(error).strip().partition("\n")[0]
            if complaint != self.complaint:
                log.warning(self._words, complaint)
            self.complaint = complaint

    def queue(self, task: Any, **kwargs: Any) -> None:
        """Queue the next step; now and then after a rest, in which others can write."""
        now = time.monotonic()
        self.busy_until = now + CHAIN_SECONDS
        message = {"follows": True, **kwargs}
        rest = REST_SECONDS[connection.vendor]
        if not rest or now - self.began < WORK_SECONDS:
            task.apply_async(kwargs=message)
            return
        self.began = now + rest
        # Neither a message with a countdown nor sleeping here: both would keep samples waiting.
        timer = threading.Timer(rest, _sent, (task, message))
        timer.daemon = True
        timer.start()


def _sent(task: Any, message: dict[str, Any]) -> None:
    with suppress(BrokerFault):  # beat says that the broker is away, and begins anew
        task.apply_async(kwargs=message)


class _Pace:
    """How much one step of rolling up does: a host with many devices has large documents.

    A sample that comes due meanwhile waits for the end of the step.
    """

    STEP_SECONDS = 0.1
    LEAST = 0.05

    def __init__(self) -> None:
        self.share = 1.0

    def limits(self) -> rollups.Limits:
        """Return the limits of the next step."""
        rows, slots = rollups.SMALL
        return rollups.Limits(round(rows * self.share), round(slots * self.share))

    def took(self, seconds: float) -> None:
        """Learn from a step; a single odd one changes little."""
        change = min(max(self.STEP_SECONDS / max(seconds, 0.001), 0.5), 1.2)
        self.share = min(max(self.share * change, self.LEAST), 1.0)


PACE = _Pace()
ROLLING_UP = _Chain("Roll-ups wait", "the next minute")
CLEANING_UP = _Chain("Cleaning up waits", "the next time")


@shared_task(name="metrics.tasks.roll_up", ignore_result=True)  # type: ignore[untyped-decorator]
def roll_up(follows: bool = False, **_: Any) -> None:
    """Do one step of rolling up and, where there is more to do, queue the next one.

    Beat sends the first; `follows` marks those that a step queued.
    """
    with ROLLING_UP.link(follows) as is_mine:
        if is_mine:
            began = time.monotonic()
            more = rollups.step(timezone.now(), PACE.limits())
            PACE.took(time.monotonic() - began)
            if more:
                ROLLING_UP.queue(roll_up)


@shared_task(name="metrics.tasks.clean_up", ignore_result=True)  # type: ignore[untyped-decorator]
def clean_up(
    follows: bool = False, run: dict[str, Any] | None = None, tries: int = 0, **_: Any
) -> None:
    """Do one step of cleaning up by the archive policy and queue the next one.

    Beat asks every few minutes, so that a host that is switched on now and then is cleaned too;
    it is done once an hour.
    """
    with CLEANING_UP.link(follows) as is_mine:
        if not is_mine:
            return
        policy = ArchivePolicy.current()
        now = timezone.now()
        if not policy.archive_enabled or not (follows or is_due(policy.last_archive_run, now)):
            return
        state = retention.Run.of(run) if run else retention.Run()
        try:
            state, tries = retention.step(state, retention.policy_of(policy), now), 0
        except DatabaseFault:  # somebody writes at this moment, most likely a sample
            if tries >= MOST_TRIES:
                raise
            tries += 1
        if not state.is_done:
            CLEANING_UP.queue(clean_up, run=state.as_json(), tries=tries)
        elif state.deleted or state.folded:
            log.info("Cleaned up: %d rows deleted, %d folded.", state.deleted, state.folded)


def is_due(last: datetime | None, now: datetime) -> bool:
    """Return whether an hour has passed since the last run, or the clock was set back."""
    return last is None or not 0 <= (now - last).total_seconds() < RUN_SECONDS - 60


@shared_task(name="metrics.tasks.maintain", ignore_result=True)  # type: ignore[untyped-decorator]
def maintain(**_: Any) -> None:
    """Tidy the tables up where that is due, in a thread: sampling goes on meanwhile."""
    if not any(thread.name == MAINTAINER for thread in threading.enumerate()):
        threading.Thread(target=_maintain, name=MAINTAINER, daemon=True).start()


MAINTAINER = "maintainer"


def _maintain() -> None:
    try:
        maintenance.do_what_is_due(timezone.now())
    except (DatabaseFault, Held) as error:
        log.warning("Maintenance waits: %s", str(error).strip().partition("\n")[0])
    finally:
        connection.close()
