"""Celery beat's scheduler: ticks that follow the settings without a restart."""

import logging
import threading
from typing import Any, NamedTuple

from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from celery.schedules import schedule
from django.db import Error as DatabaseFault
from django.db import close_old_connections

from metrics.configuration import DEFAULTS, chosen_features, sampling_interval
from metrics.kernel.slow import Periodic
from metrics.querysets.settings import settings_of
from metrics.ticks import Tick, Ticker

log = logging.getLogger("perfwatch.beat")

SAMPLE = "metrics.tasks.sample"
KEYS = ("sampling", "features")
REREAD_SECONDS = 1.5
LOOK_SECONDS = 5.0
FIRST_VALUE_SECONDS = 3.0


class Settings(NamedTuple):
    """What the table says now; None where it holds nonsense or is away."""

    interval: int | None
    features: dict[str, Any] | None


class SamplingScheduler(Scheduler):  # type: ignore[misc]
    """Sends `metrics.tasks.sample` at every tick; other entries run as Celery's own do.

    Interval and features are read again every 1.5 s, the features go with each message: so
    sampling asks no database. While it is away, or holds nonsense, the last good ones stay in use.
    It sleeps until the next tick, but wakes when they change, and every 5 s to see whether the
    clock was set: on an idle machine waking up is what costs most.
    """

    def setup_schedule(self) -> None:
        """Start the clock with the interval that is set."""
        super().setup_schedule()
        # As a thread, Celery would have beat come round every second, so that it can be stopped.
        self.max_interval = LOOK_SECONDS
        self._complaint = ""
        self._broker_is_away = False
        self._found = Settings(None, None)
        self._changed = threading.Event()
        # In a thread of its own: a database that hangs must not stop the clock.
        self._reader: Periodic[None] = Periodic(self._read, REREAD_SECONDS)
        self._reader.wait(FIRST_VALUE_SECONDS)
        self._features: dict[str, Any] = DEFAULTS["features"]
        self._ticker = Ticker(self._found.interval or DEFAULTS["sampling"]["interval_seconds"])

    def adjust(self, n: float, drift: float = 0.0) -> float:
        """Leave the wait as it is: Celery wakes 10 ms early and spins until the time has come."""
        return n

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due and sleep until the next look or a change of the settings."""
        self._changed.wait(self.look())
        self._changed.clear()
        return 0.0

    def look(self) -> float:
        """Send what is due and return the seconds until the next look."""
        found = self._found
        self._ticker.change(found.interval or self._ticker.interval)
        self._features = found.features or self._features
        tick: Tick | None = self._ticker.due()
        if tick:
            self.apply_entry(
                ScheduleEntry(
                    name="sample",
                    task=SAMPLE,
                    schedule=schedule(tick.interval, app=self.app),
                    kwargs={
                        "due": tick.due,
                        "interval": tick.interval,
                        "features": self._features,
                    },
                    # A worker that was away must not burst samples of the past. The words are for
                    # tools that watch Celery; to find them takes a quarter of sending a message.
                    options={"expires": tick.interval, "argsrepr": "", "kwargsrepr": ""},
                    app=self.app,
                ),
                producer=self.producer,
            )
        others: float = super().tick()
        return min(self._ticker.wait(), others)

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

    def _read(self) -> None:
        found = self._configured()
        if found != self._found:
            self._found = found
            self._changed.set()

    def _configured(self) -> Settings:
        try:
            close_old_connections()
            rows = settings_of(*KEYS)
        except DatabaseFault as error:
            settings, complaint = Settings(None, None), f"the database is away ({error})"
        else:
            settings = Settings(
                sampling_interval(rows.get("sampling")),
                chosen_features(rows.get("features", DEFAULTS["features"])),
            )
            wrong = [key for key, value in zip(KEYS, settings, strict=True) if value is None]
            complaint = f"config.{' and config.'.join(wrong)} is not valid" if wrong else ""
        if complaint and complaint != self._complaint:
            log.warning("The last good settings stay in use: %s.", complaint)
        self._complaint = complaint
        return settings
