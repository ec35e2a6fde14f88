"""The sampler process: one Celery worker that samples and, without Redis, beat beside it."""

import logging
import os
import signal
from typing import Any

from celery.app.base import Celery
from celery.beat import EmbeddedService
from celery.exceptions import WorkerShutdown
from django.conf import settings

from metrics import tasks
from metrics.stopping import Stop
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
    # It writes what waits while the broker is taken leave of.
    stop = Stop(before=tasks.store().stop)
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
        stop.listen()
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
