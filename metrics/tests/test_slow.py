import gc
import threading

import pytest

from metrics.kernel import slow
from metrics.kernel.slow import Periodic

HOUR = 3600.0


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]

    class FakeTime:
        @staticmethod
        def monotonic():
            return now[0]

    monkeypatch.setattr(slow, "time", FakeTime)
    return now


def test_the_first_value_is_there_after_waiting_for_it():
    periodic = Periodic(lambda: 42, HOUR)
    periodic.wait(5)
    assert periodic.latest() == 42


def test_a_call_that_hangs_gives_nothing_and_blocks_nobody():
    release = threading.Event()
    periodic = Periodic(release.wait, HOUR)
    periodic.wait(0)
    assert periodic.latest() is None
    release.set()


def test_a_value_older_than_three_periods_is_no_value(clock):
    periodic = Periodic(lambda: 42, HOUR)
    periodic.wait(5)
    clock[0] += 3 * HOUR
    assert periodic.latest() == 42
    clock[0] += 1
    assert periodic.latest() is None


def test_a_function_that_cannot_read_gives_no_value():
    def absent():
        raise FileNotFoundError("no sensor")

    periodic = Periodic(absent, HOUR)
    periodic.wait(5)
    assert periodic.latest() is None


def test_it_runs_again_after_its_period():
    calls = threading.Semaphore(0)
    periodic = Periodic(calls.release, 0.001)
    assert all(calls.acquire(timeout=5) for _ in range(3))
    periodic.stop()


def test_the_thread_ends_with_the_object():
    before = set(threading.enumerate())
    periodic = Periodic(lambda: 1, HOUR)
    (thread,) = set(threading.enumerate()) - before
    del periodic
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_waiting_for_several_takes_a_quarter_of_a_second_in_all(monkeypatch, clock):
    waits = []

    class Fake:
        def wait(self, seconds):
            waits.append(seconds)
            clock[0] += 0.2

    slow.wait_for_first([Fake(), Fake(), Fake()])
    assert waits == pytest.approx([0.25, 0.05, -0.15])
