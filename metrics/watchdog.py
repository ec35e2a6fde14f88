"""Ends a worker that gets nothing to do although there is something: it is started again.

Workers are known to stop consuming after Redis was away (celery/celery issue 10205), and a
collector may hang for ever in the kernel.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import signals
from celery.app.base import Celery
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerFault

log = logging.getLogger("perfwatch.watchdog")

LOOK_SECONDS = 1.0
"""So often it looks while something seems wrong."""

SUSPENDED_SECONDS = 5.0
"""A thread that slept so much longer than it wanted was suspended, or starved as its worker was."""

LEAST_UNHEARD = 5.0
"""While messages wait, a task comes after so many seconds, or one and a half intervals."""

LOG_SECONDS = 60.0


@dataclass
class Watchdog:
    """Judges whether a worker is stuck; pure but for the clock and the questions it is given.

    `messages` tells how many messages wait for the worker, None where the broker does not answer.
    `interval` tells how many seconds lie between two tasks, None where nobody knows. Where nothing
    waits, silence may last three of them, and `patience` seconds: the clock is what has ended then.
    `end` ends the process, `tell` shows people what is wrong.
    """

    messages: Callable[[], int | None]
    interval: Callable[[], float | None]
    end: Callable[[], None]
    patience: float
    tell: Callable[[str], None] = lambda words: None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._heard = self._since = self.clock()
        self._next_look = self._heard + LOOK_SECONDS
        self._logged = -math.inf
        self._between: float | None = None
        self._suspects = False

    def hear(self, between: float | None = None) -> None:
        """Note that the worker begins a task; the next one comes in `between` seconds."""
        self._heard = self._since = self.clock()
        self._between = between

    def look(self) -> float:
        """Look once, and return the seconds until the next look.

        A worker that is found stuck twice in a row is ended.
        """
        now = self.clock()
        if now - self._next_look > SUSPENDED_SECONDS:
            self._since = now
        calm = self._judge(now)
        wait = max(LOOK_SECONDS, min(calm, LEAST_UNHEARD))
        self._next_look = now + wait
        return wait

    def _judge(self, now: float) -> float:
        """Return for how many seconds nothing can be wrong; 0 where something may be."""
        between = self._between or 0.0
        unheard = max(1.5 * between, LEAST_UNHEARD)
        if now - self._since <= unheard:
            if now - self._heard <= unheard:
                self.tell("")
            self._suspects = False
            return unheard - (now - self._since)
        waiting = self.messages()
        if waiting is None:
            self._since = now  # it is no use to end before the broker is back
            self._complain("the broker does not answer")
            return 0.0
        if waiting:
            self._complain(f"{waiting} messages wait, but none arrives")
        elif now - self._since <= max(3 * between, self.patience):
            return 0.0
        else:
            # It may have been made longer while nothing came.
            between = max(between, self.interval() or 0.0)
            if not between or now - self._since <= max(3 * between, self.patience):
                return 0.0
            self._complain("nothing waits: the clock (beat) is not running")
        if self._suspects:
            log.error("This process ends, to be started again: no task came.")
            self.end()
        self._suspects = True
        return 0.0

    def _complain(self, reason: str) -> None:
        silence = self.clock() - self._heard
        self.tell(f"No tick came for {silence:.0f} s: {reason}.")
        if self.clock() - self._logged >= LOG_SECONDS:
            self._logged = self.clock()
            log.warning("No task came for %.0f s: %s.", silence, reason)


def guard(dog: Watchdog, between: float | None = None) -> None:
    """Have a thread look again and again; `between` is for tasks that do not say their interval."""

    def hear(kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        if expected := (kwargs or {}).get("interval", between):
            dog.hear(expected)

    def run() -> None:
        wait = LOOK_SECONDS
        while True:
            time.sleep(wait)
            wait = dog.look()

    signals.task_prerun.connect(hear, weak=False)
    threading.Thread(target=run, name="watchdog", daemon=True).start()


def waiting_in(app: Celery, queue: str) -> int | None:
    """Return how many messages a queue holds, None where the broker does not answer."""
    with app.connection_for_read() as connection:
        try:
            connection.connect()
            declared = connection.channel().queue_declare(queue=queue, passive=True)
        except ChannelError:
            return 0
        except (BrokerFault, OSError, *connection.connection_errors, *connection.channel_errors):
            return None  # a full Redis answers, and refuses
    count: int = declared.message_count
    return count


def end_at_once() -> None:
    """End this process; whatever holds it up holds up an orderly end, too."""
    os._exit(1)
