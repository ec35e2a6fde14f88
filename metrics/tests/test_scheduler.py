import logging

import pytest
from celery.beat import SchedulingError
from django.db import OperationalError

from metrics import scheduler
from metrics.models import Config
from metrics.scheduler import SAMPLE, SamplingScheduler
from perfwatch_site.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """Time as the scheduler sees it; sleeping is moving it on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(scheduler.time, "monotonic", lambda: self.now)


class Sent(list):
    """What was sent to the broker, which can be away."""

    def __init__(self, monkeypatch):
        self.away = False
        monkeypatch.setattr(SamplingScheduler, "producer", None)
        monkeypatch.setattr(SamplingScheduler, "apply_async", self.take)

    def take(self, entry, **_):
        if self.away:
            raise SchedulingError("connection refused")
        if entry.task == SAMPLE:
            self.append((entry.kwargs["due"], entry.kwargs["interval"], entry.options))


class FakeTicker:
    """Due at every look."""

    def __init__(self, interval):
        self.interval = interval

    def change(self, interval):
        self.interval = interval

    def wait(self):
        return float(self.interval)

    def due(self):
        return scheduler.Tick(1000.0, self.interval)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def sent(monkeypatch):
    monkeypatch.setattr(scheduler, "Ticker", FakeTicker)
    return Sent(monkeypatch)


def start():
    return SamplingScheduler(app=app)


def set_interval(seconds):
    Config(key="sampling", value={"interval_seconds": seconds}).save()


def test_a_message_expires_after_one_interval(clock, sent):
    set_interval(7)
    start().tick()
    assert sent == [(1000.0, 7, {"expires": 7})]


def test_a_changed_interval_is_seen_within_a_second(clock, sent):
    set_interval(5)
    beat = start()
    beat.tick()
    set_interval(60)
    clock.now += 1.0
    beat.tick()
    assert [interval for _, interval, _ in sent] == [5, 60]


def test_the_setting_is_not_read_more_often_than_once_a_second(
    clock, sent, django_assert_num_queries
):
    set_interval(5)
    beat = start()
    with django_assert_num_queries(0):
        clock.now += 0.9
        beat.tick()
    with django_assert_num_queries(1):
        clock.now += 0.2
        beat.tick()


def test_it_never_sleeps_past_the_moment_to_read_the_setting(clock, sent):
    set_interval(3600)
    assert start().tick() <= scheduler.REREAD_SECONDS


@pytest.mark.parametrize("nonsense", [{}, {"interval_seconds": 0}, "soon", [5]])
def test_nonsense_in_the_table_leaves_the_last_interval_in_use(clock, sent, caplog, nonsense):
    set_interval(7)
    beat = start()
    Config.objects.filter(key="sampling").update(value=nonsense)
    for _ in range(3):
        clock.now += 1.1
        beat.tick()
    assert {interval for _, interval, _ in sent} == {7}
    assert caplog.text.count("stays in use") == 1


def test_a_database_that_is_away_leaves_the_last_interval_in_use(clock, sent, caplog, monkeypatch):
    set_interval(7)
    beat = start()

    def away(key):
        raise OperationalError("connection refused")

    monkeypatch.setattr(scheduler, "setting", away)
    for _ in range(3):
        clock.now += 1.1
        beat.tick()
    assert {interval for _, interval, _ in sent} == {7}
    assert caplog.text.count("the database is away") == 1


def test_without_any_row_the_interval_is_five_seconds(clock, sent):
    Config.objects.all().delete()
    start().tick()
    assert sent[0][1] == 5


def test_a_broker_that_is_away_is_told_once_and_so_is_its_return(clock, sent, caplog):
    caplog.set_level(logging.WARNING)
    set_interval(5)
    beat = start()
    sent.away = True
    for _ in range(5):
        beat.tick()
    sent.away = False
    for _ in range(5):
        beat.tick()
    messages = [record.message for record in caplog.records if record.name == "perfwatch.beat"]
    assert len(messages) == 2
    assert "takes no messages" in messages[0]
    assert messages[1] == "The broker is back."
