"""Ends a Celery worker at once when it is idle, else after the task in hand.

Celery's own warm shutdown waits for its event loop to come round, which takes seconds.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType

from celery import signals
from celery.exceptions import WorkerShutdown


class Stop:
    """Handles the signals that end a worker whose tasks run in its main thread.

    `before` is called where no task runs, before the worker takes leave of the broker.
    """

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self._before = before
        self._busy = False
        self._asked = threading.Event()
        signals.task_prerun.connect(self._begin, weak=False)
        signals.task_postrun.connect(self._end, weak=False)

    def listen(self) -> None:
        """Take over from Celery's own handlers, which it installs when it starts."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            return  # a service manager signals the whole group, and the supervisor signals too
        self._asked.set()
        if not self._busy:
            self._before()
            raise WorkerShutdown(0)

    def _begin(self, **_: object) -> None:
        self._busy = True

    def _end(self, **_: object) -> None:
        self._busy = False
        if self._asked.is_set():
            raise WorkerShutdown(0)
