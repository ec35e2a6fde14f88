"""When a worker is ended because nothing reaches it."""

import logging
import os

import pytest

from metrics.watchdog import Watchdog
from perfwatch_site.logs import OncePerMinute


class Life:
    """A watchdog, a clock that a test turns, and what the watchdog asks and does."""

    def __init__(self, waiting=0, interval=5.0, patience=15.0):
        self.now = 1000.0
        self.waiting = waiting
        self.interval = interval
        self.ended_after = None
        self.told = []
        self.asked = 0
        self.dog = Watchdog(
            messages=self.messages,
            interval=lambda: self.interval,
            end=self.end,
            patience=patience,
            tell=self.told.append,
            clock=lambda: self.now,
        )
        self.started = self.now
        self.next_look = self.now + 1
        self.looks = 0

    def messages(self):
        self.asked += 1
        return self.waiting

    def end(self):
        if self.ended_after is None:
            self.ended_after = self.now - self.started

    def pass_by(self, seconds, tick=None):
        """Seconds in which the watchdog looks when it wants, and a tick comes every `tick`."""
        for second in range(1, seconds + 1):
            self.now += 1
            if tick and second % tick == 0:
                self.dog.hear(tick)
            if self.now >= self.next_look:
                self.look()

    def look(self):
        self.looks += 1
        self.next_look = self.now + self.dog.look()


def test_while_ticks_come_nobody_is_asked():
    life = Life()
    life.pass_by(100, tick=5)
    assert (life.ended_after, life.asked) == (None, 0)
    assert set(life.told) == {""}


@pytest.mark.parametrize("interval", [1, 5, 60])
def test_while_ticks_come_it_sleeps_for_seconds(interval):
    life = Life(interval=interval)
    life.dog.hear(interval)
    life.pass_by(600, tick=interval)
    assert life.looks <= 150


@pytest.mark.parametrize(("interval", "longest"), [(1, 8), (5, 10), (60, 93)])
def test_messages_that_wait_without_reaching_the_worker_end_it(interval, longest):
    life = Life(waiting=3)
    life.dog.hear(interval)
    life.pass_by(longest)
    assert life.ended_after is not None
    assert "3 messages wait, but none arrives" in life.told[-1]


def test_a_broker_that_is_away_ends_nobody_and_is_told():
    life = Life(waiting=None)
    life.dog.hear(1)
    life.pass_by(600)
    assert life.ended_after is None
    assert life.told[-1].endswith("the broker does not answer.")


def test_after_the_broker_came_back_the_worker_has_time_to_consume():
    life = Life(waiting=None)
    life.dog.hear(1)
    life.pass_by(60)
    life.waiting = 4
    life.pass_by(4)
    assert life.ended_after is None
    life.pass_by(6)
    assert life.ended_after is not None


def test_a_suspended_worker_gets_time_when_it_goes_on():
    life = Life(waiting=60)
    life.dog.hear(1)
    life.now += 60
    life.look()
    life.pass_by(3)
    assert life.ended_after is None
    life.waiting = 0
    life.pass_by(100, tick=1)
    assert life.ended_after is None


def test_it_looks_again_before_it_ends_anything():
    life = Life(waiting=1)
    life.dog.hear(1)
    life.pass_by(5)
    life.now += 1
    life.look()  # finds it stuck
    assert life.ended_after is None
    life.dog.hear(1)  # but then a task comes
    life.pass_by(4)
    assert life.ended_after is None


def test_a_clock_that_has_stopped_ends_the_sampler_after_three_intervals():
    life = Life(interval=10)
    life.dog.hear(10)
    life.pass_by(30)
    assert life.ended_after is None
    life.pass_by(5)
    assert life.ended_after is not None
    assert "the clock (beat) is not running" in life.told[-1]


def test_an_interval_that_was_made_longer_meanwhile_is_waited_for():
    life = Life(interval=3600)
    life.dog.hear(5)
    life.pass_by(3000)
    assert life.ended_after is None


def test_before_the_first_tick_of_an_unknown_interval_nothing_ends():
    life = Life(interval=None)
    life.pass_by(1000)
    assert life.ended_after is None


def test_what_is_wrong_is_logged_once_a_minute(caplog):
    life = Life(waiting=None)
    life.dog.hear(1)
    life.pass_by(185)
    said = [record for record in caplog.records if "No task came" in record.getMessage()]
    assert len(said) == 3


def test_what_repeats_passes_the_log_once_a_minute(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("perfwatch_site.logs.time.monotonic", lambda: now[0])
    only = OncePerMinute()

    def record(line):
        return logging.LogRecord("name", logging.ERROR, os.devnull, line, "text", None, None)

    passed = []
    for second in range(130):
        now[0] = float(second)
        passed += [(second, line) for line in (1, 2) if only.filter(record(line))]
    assert passed == [(0, 1), (0, 2), (60, 1), (60, 2), (120, 1), (120, 2)]
