"""Reads that may take milliseconds or hang: sensors, link speeds, network filesystems."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")

FIRST_VALUE_SECONDS = 0.25
_PERIODS_KEPT = 3


class Periodic(Generic[Value]):
    """Runs `function` in a daemon thread of its own every `seconds`, for as long as it is kept.

    A call that hangs holds up nothing but its own value. OSError and ValueError of the function
    mean "not here now": the value is None until it works again.
    """

    def __init__(self, function: Callable[[], Value | None], seconds: float) -> None:
        self._seconds = seconds
        self._box = _Box[Value]()
        threading.Thread(
            target=_run, args=(function, seconds, self._box), name="perfwatch-slow", daemon=True
        ).start()

    def latest(self) -> Value | None:
        """The last value, without waiting; None when it is older than three periods."""
        if self._box.latest is None:
            return None
        value, moment = self._box.latest
        return value if time.monotonic() - moment <= _PERIODS_KEPT * self._seconds else None

    def wait(self, seconds: float) -> None:
        """Waits at most that long for the first value."""
        self._box.first.wait(max(0.0, seconds))

    def stop(self) -> None:
        self._box.stopped.set()

    def __del__(self) -> None:
        self.stop()


class _Box(Generic[Value]):
    """What a Periodic shares with its thread, which must not keep the Periodic itself alive."""

    def __init__(self) -> None:
        self.latest: tuple[Value | None, float] | None = None  # one reference: replaced at once
        self.first = threading.Event()
        self.stopped = threading.Event()


def _run(function: Callable[[], Value | None], seconds: float, box: _Box[Value]) -> None:
    while not box.stopped.is_set():
        try:
            value = function()
        except (OSError, ValueError):
            value = None
        box.latest = value, time.monotonic()
        box.first.set()
        box.stopped.wait(seconds)


def wait_for_first(periodics: Collection[Periodic[Any]]) -> None:
    """Gives all of them together 0.25 s for their first values."""
    deadline = time.monotonic() + FIRST_VALUE_SECONDS
    for periodic in periodics:
        periodic.wait(deadline - time.monotonic())
