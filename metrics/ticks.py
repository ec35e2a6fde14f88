"""When to sample: multiples of the interval on the wall clock, kept by the monotonic clock."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

CLOCK_JUMP = 0.5
"""Seconds by which the wall clock may drift from the monotonic one before ticks are realigned."""


class Tick(NamedTuple):
    """A sample is due: at which second of the epoch, for how many seconds of interval."""

    due: float
    interval: int


class Ticker:
    """Says when the next sample is due. Pure but for the two clocks, which tests replace."""

    def __init__(
        self,
        interval: int,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.interval = interval
        self._monotonic = monotonic
        self._wall = wall
        self._last = -math.inf
        self._align()

    def change(self, interval: int) -> None:
        """Use another interval from now on."""
        if interval != self.interval:
            self.interval = interval
            self._align()

    def wait(self) -> float:
        """Return the seconds until the next tick; 0 when it is due."""
        self._follow_wall_clock()
        return max(0.0, self._next - self._monotonic())

    def due(self) -> Tick | None:
        """Return the tick that is due and go on to the next one; None before its time.

        Ticks that were slept through are left out: the latest one stands for them.
        """
        self._follow_wall_clock()
        late = self._monotonic() - self._next
        if late < 0:
            return None
        missed = int(late // self.interval)
        self._last = self._next + missed * self.interval
        tick = Tick(self._due + missed * self.interval, self.interval)
        self._next += (missed + 1) * self.interval
        self._due += (missed + 1) * self.interval
        return tick

    def _follow_wall_clock(self) -> None:
        # Where the wall clock should stand at this moment, if it had not been set.
        expected = self._due - (self._next - self._monotonic())
        if abs(self._wall() - expected) > CLOCK_JUMP:
            self._align()

    def _align(self) -> None:
        now = self._wall()
        self._due = (math.floor(now / self.interval) + 1) * float(self.interval)
        self._next = self._monotonic() + (self._due - now)
        # After a jump the next multiple may follow so closely that the sample would be a double.
        if self._next - self._last < self.interval / 2:
            self._due += self.interval
            self._next += self.interval
