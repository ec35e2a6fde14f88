"""Celery beat's scheduler: ticks that follow the setting `sampling` without a restart."""

import logging
from typing import Any

from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from celery.schedules import schedule
from django.db import Error as DatabaseFault
from django.db import close_old_connections

from metrics.configuration import DEFAULTS, sampling_interval
from metrics.kernel.slow import Periodic
from metrics.querysets import setting
from metrics.ticks import Tick, Ticker

log = logging.getLogger("perfwatch.beat")

SAMPLE = "metrics.tasks.sample"
REREAD_SECONDS = 0.5
FIRST_VALUE_SECONDS = 3.0


class SamplingScheduler(Scheduler):  # type: ignore[misc]
    """Sends `metrics.tasks.sample` at every tick; other entries run as Celery's own do.

    The interval is read again twice a second. While the database is away, or holds
    nonsense, the last good one stays in use.
    """

    max_interval = REREAD_SECONDS

    def setup_schedule(self) -> None:
        """Start the clock with the interval that is set."""
        super().setup_schedule()
        self._complaint = ""
        self._broker_is_away = False
        # In a thread of its own: a database that hangs must not stop the clock.
        self._interval = Periodic(self._configured_interval, REREAD_SECONDS)
        self._interval.wait(FIRST_VALUE_SECONDS)
        self._ticker = Ticker(self._interval.latest() or DEFAULTS["sampling"]["interval_seconds"])

    def adjust(self, n: float, drift: float = 0.0) -> float:
        """Leave the wait as it is: Celery wakes 10 ms early and spins until the time has come."""
        return n

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due and return the seconds to sleep."""
        self._ticker.change(self._interval.latest() or self._ticker.interval)
        tick: Tick | None = self._ticker.due()
        if tick:
            self.apply_entry(
                ScheduleEntry(
                    name="sample",
                    task=SAMPLE,
                    schedule=schedule(tick.interval, app=self.app),
                    kwargs={"due": tick.due, "interval": tick.interval},
                    # A worker that was away must not burst samples of the past.
                    options={"expires": tick.interval},
                    app=self.app,
                ),
                producer=self.producer,
            )
        others: float = super().tick(*args, **kwargs)
        return min(self._ticker.wait(), others, REREAD_SECONDS)

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        """Send one message; say once that the broker is away, and once that it is back."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            if not self._broker_is_away:
                log.error("The broker takes no messages (%s). Ticks are lost until it does.", error)
            self._broker_is_away = True
            return
        if self._broker_is_away:
            log.warning("The broker is back.")
        self._broker_is_away = False

    def _configured_interval(self) -> int | None:
        try:
            close_old_connections()
            interval = sampling_interval(setting("sampling"))
            complaint = "" if interval else "config.sampling is not valid"
        except DatabaseFault as error:
            interval, complaint = None, f"the database is away ({error})"
        if complaint and complaint != self._complaint:
            log.warning("The last sampling interval stays in use: %s.", complaint)
        self._complaint = complaint
        return interval
