import logging
import threading
import time

import pytest
from celery.beat import SchedulingError
from django.db import OperationalError

from metrics import scheduler
from metrics.kernel.slow import Periodic
from metrics.models import Config
from metrics.scheduler import SAMPLE, SamplingScheduler
from perfwatch_site.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


class Sent(list):
    """What was sent to the broker, which can be away."""

    def __init__(self, monkeypatch):
        self.away = False
        self.features = []
        monkeypatch.setattr(SamplingScheduler, "producer", None)
        monkeypatch.setattr(SamplingScheduler, "apply_async", self.take)

    def take(self, entry, **_):
        if self.away:
            raise SchedulingError("connection refused")
        if entry.task == SAMPLE:
            self.append((entry.kwargs["due"], entry.kwargs["interval"], entry.options))
            self.features.append(entry.kwargs["features"])


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


class Quiet:
    """Reads once; after that the test reads when it looks."""

    def __init__(self, function, seconds):
        function()

    def wait(self, seconds):
        pass


@pytest.fixture
def sent(monkeypatch):
    monkeypatch.setattr(scheduler, "Ticker", FakeTicker)
    monkeypatch.setattr(scheduler, "Periodic", Quiet)
    return Sent(monkeypatch)


def start():
    return SamplingScheduler(app=app)


def look(beat):
    beat._read()
    return beat.look()


def set_interval(seconds):
    Config(key="sampling", value={"interval_seconds": seconds}).save()


def test_a_message_expires_after_one_interval(sent):
    set_interval(7)
    look(start())
    [(due, interval, options)] = sent
    assert (due, interval, options["expires"]) == (1000.0, 7, 7)


def test_a_changed_interval_is_seen_at_the_next_look(sent):
    set_interval(5)
    beat = start()
    look(beat)
    set_interval(60)
    look(beat)
    assert [interval for _, interval, _ in sent] == [5, 60]


def test_reading_the_setting_takes_one_query(sent, django_assert_num_queries):
    set_interval(5)
    beat = start()
    with django_assert_num_queries(1):
        look(beat)


def test_a_database_that_hangs_does_not_stop_the_clock(sent, monkeypatch):
    monkeypatch.setattr(scheduler, "Periodic", Periodic)
    monkeypatch.setattr(scheduler, "FIRST_VALUE_SECONDS", 0.1)
    hanging = threading.Event()
    monkeypatch.setattr(scheduler, "settings_of", lambda *keys: hanging.wait(10) and {})
    beat = start()
    beat.look()
    beat._reader.stop()
    hanging.set()
    assert sent[0][1] == 5


def test_it_never_sleeps_past_the_moment_to_look_at_the_setting(sent):
    set_interval(3600)
    assert look(start()) <= scheduler.LOOK_SECONDS


def test_between_ticks_beat_in_a_thread_wakes_as_seldom_as_a_process(sent):
    set_interval(3600)
    beat = SamplingScheduler(app=app, max_interval=1)  # as Celery's embedded service starts it
    look(beat)
    while look(beat) == 0:
        pass  # entries of Celery's own are due at first
    assert beat.look() > 2


def test_a_change_wakes_it(sent, monkeypatch):
    set_interval(3600)
    beat = start()
    set_interval(7)
    change = threading.Timer(0.1, beat._read)
    change.start()
    began = time.monotonic()
    assert beat.tick() == 0
    assert time.monotonic() - began < scheduler.LOOK_SECONDS - 1
    change.join()
    beat.look()
    assert [interval for _, interval, _ in sent] == [3600, 7]


@pytest.mark.parametrize("nonsense", [{}, {"interval_seconds": 0}, "soon", [5]])
def test_nonsense_in_the_table_leaves_the_last_interval_in_use(sent, caplog, nonsense):
    set_interval(7)
    beat = start()
    Config.objects.filter(key="sampling").update(value=nonsense)
    for _ in range(3):
        look(beat)
    assert {interval for _, interval, _ in sent} == {7}
    assert caplog.text.count("stay in use") == 1


def test_a_database_that_is_away_leaves_the_last_interval_in_use(sent, caplog, monkeypatch):
    set_interval(7)
    beat = start()

    def away(*keys):
        raise OperationalError("connection refused")

    monkeypatch.setattr(scheduler, "settings_of", away)
    for _ in range(3):
        look(beat)
    assert {interval for _, interval, _ in sent} == {7}
    assert caplog.text.count("the database is away") == 1


OFF = {"perf_events_enabled": False, "perf_events_cpus": "0-1"}


def test_without_a_row_the_features_are_the_defaults(sent):
    Config.objects.filter(key="features").delete()
    look(start())
    assert sent.features == [{"perf_events_enabled": True, "perf_events_cpus": "all"}]


def test_features_go_with_the_message_and_follow_the_setting(sent):
    beat = start()
    look(beat)
    Config(key="features", value=OFF).save()
    look(beat)
    assert sent.features == [{"perf_events_enabled": True, "perf_events_cpus": "all"}, OFF]


@pytest.mark.parametrize("nonsense", [[], {"perf_events_enabled": "yes"}, {"perf": 1}, "on"])
def test_nonsense_leaves_the_last_features_in_use_and_the_interval_alone(sent, caplog, nonsense):
    Config(key="features", value=OFF).save()
    beat = start()
    look(beat)
    Config.objects.filter(key="features").update(value=nonsense)
    set_interval(9)
    for _ in range(3):
        look(beat)
    assert sent.features == [OFF] * 4
    assert sent[-1][1] == 9
    assert caplog.text.count("config.features is not valid") == 1


def test_without_any_row_the_interval_is_five_seconds(sent):
    Config.objects.all().delete()
    look(start())
    assert sent[0][1] == 5


def test_a_broker_that_is_away_is_told_once_and_so_is_its_return(sent, caplog):
    caplog.set_level(logging.WARNING)
    set_interval(5)
    beat = start()
    sent.away = True
    for _ in range(5):
        look(beat)
    sent.away = False
    for _ in range(5):
        look(beat)
    messages = [record.message for record in caplog.records if record.name == "perfwatch.beat"]
    assert len(messages) == 2
    assert "takes no messages" in messages[0]
    assert messages[1] == "The broker is back."
