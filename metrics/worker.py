"""The sampler process: one Celery worker that samples and, without Redis, beat beside it."""

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any

from celery import signals
from celery.app.base import Celery
from celery.beat import EmbeddedService
from celery.exceptions import WorkerShutdown
from django.conf import settings

from metrics import tasks
from metrics.watchdog import Watchdog, end_at_once, guard, waiting_in

log = logging.getLogger("perfwatch.sampler")


def run(app: Celery, own_beat: bool) -> int:
    """Sample until a signal says stop; return the exit status.

    With `own_beat` the clock is a thread of this process and the maintenance queue is worked on
    here too: nothing else could, the broker lives in this process.
    """
    queues = [settings.SAMPLING_QUEUE] + [settings.MAINTENANCE_QUEUE] * own_beat
    beat = (
        EmbeddedService(app, thread=True, scheduler_cls=app.conf.beat_scheduler)
        if own_beat
        else None
    )
    stop = _Stop(_Busy())
    dog = Watchdog(
        messages=lambda: waiting_in(app, settings.SAMPLING_QUEUE),
        interval=tasks.interval_now,
        end=_give_up,
        # With Redis it is another process that has ended, and the supervisor starts this one at
        # once only where it has lived for a minute.
        patience=15.0 if own_beat else 75.0,
        tell=tasks.store().complain,
    )
    # The next tick may be an hour away.
    tasks.store().on_failure = lambda: os.kill(os.getpid(), signal.SIGTERM)

    def ready(consumer: Any) -> None:
        # Beat went on while nobody sampled. Expired messages stay in Redis, and throwing away
        # those of a day one by one takes minutes.
        consumer.task_consumer.purge()
        # Only now: Celery's event loop has put its own handlers by then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if beat is not None and not beat.is_alive():
            beat.start()

    guard(dog)

    worker = app.WorkController(
        pool="solo",
        concurrency=1,
        queues=queues,
        hostname=f"{settings.SAMPLING_QUEUE}@%h",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        task_events=False,
        ready_callback=ready,
    )
    try:
        worker.start()
    except (WorkerShutdown, KeyboardInterrupt, SystemExit) as ending:
        code = ending.code if isinstance(ending, SystemExit) else 0
    else:
        code = worker.exitcode
    if beat is not None:
        beat.service.stop()
    tasks.store().close()
    if tasks.store().failure:
        code = 1
    log.info("Stopped.")
    return code if isinstance(code, int) else 0


def _give_up() -> None:
    """Bring what waits to the disk, and end."""
    tasks.store().close()
    end_at_once()


class _Busy:
    """Knows whether a task runs at this moment."""

    def __init__(self) -> None:
        self.running = False
        signals.task_prerun.connect(self._begin, weak=False)
        signals.task_postrun.connect(self._end, weak=False)

    def _begin(self, **_: object) -> None:
        self.running = True

    def _end(self, **_: object) -> None:
        self.running = False


class _Stop:
    """Ends the worker at once when it is idle, else after the task in hand.

    Celery's own warm shutdown waits for its event loop to come round, which takes seconds.
    """

    def __init__(self, busy: _Busy) -> None:
        self._busy = busy
        signals.task_postrun.connect(self._after_task, weak=False)
        self._asked = threading.Event()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            return  # a service manager signals the whole group, and the supervisor signals too
        self._asked.set()
        if not self._busy.running:
            tasks.store().stop()  # it writes what waits while the broker is taken leave of
            raise WorkerShutdown(0)

    def _after_task(self, **_: object) -> None:
        if self._asked.is_set():
            raise WorkerShutdown(0)
