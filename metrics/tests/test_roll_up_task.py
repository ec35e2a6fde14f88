import logging
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from metrics import rollups, tasks
from metrics.models import Rollup
from metrics.patience import impatient
from metrics.tests.builders import stored
from perfwatch_site.celery import app


@pytest.fixture
def queued(monkeypatch):
    """The messages that steps queued."""
    messages = []
    monkeypatch.setattr(tasks.ROLLING_UP, "busy_until", 0.0)
    monkeypatch.setattr(tasks.ROLLING_UP, "complaint", "")
    monkeypatch.setitem(tasks.REST_SECONDS, "sqlite", 0)
    monkeypatch.setattr(tasks.roll_up, "apply_async", lambda kwargs: messages.append(kwargs))  # noqa: PLW0108
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    return messages


@pytest.mark.django_db
def test_the_task_rolls_up_and_queues_its_successor_until_all_is_done(queued):
    stored(datetime.now(UTC) - timedelta(hours=3), cpu__usage_percent=1.0)
    tasks.roll_up()
    steps = 1
    while queued:
        tasks.roll_up(**queued.pop())
        steps += 1
    assert 1 < steps < 30
    assert {row.resolution for row in Rollup.objects.all()} >= {60, 600}


def test_a_second_chain_does_not_begin_while_one_is_under_way(queued, monkeypatch):
    calls = []
    monkeypatch.setattr(rollups, "step", lambda now, limits: calls.append(now) or True)
    monkeypatch.setattr(tasks, "impatient", nullcontext)
    tasks.roll_up()
    tasks.roll_up()
    assert len(calls) == 1
    tasks.roll_up(**queued[0])
    assert len(calls) == 2


def test_after_a_while_of_work_the_next_step_leaves_others_time_to_write(queued, monkeypatch):
    rests = []

    class Timer:
        def __init__(self, seconds, function, args):
            rests.append(seconds)
            self.start = lambda: function(*args)

    clock = iter(n * 0.2 for n in range(100))
    monkeypatch.setattr(tasks.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(tasks.threading, "Timer", Timer)
    monkeypatch.setitem(tasks.REST_SECONDS, connection.vendor, 0.15)
    monkeypatch.setattr(rollups, "step", lambda *_: True)
    monkeypatch.setattr(tasks, "impatient", nullcontext)
    tasks.roll_up()
    for _ in range(9):
        tasks.roll_up(**queued.pop())
    assert len(queued) == 1
    assert 1 <= len(rests) <= 5
    assert set(rests) == {0.15}


def test_steps_that_take_long_become_smaller_and_then_larger_again():
    pace = tasks._Pace()
    assert pace.limits() == rollups.SMALL
    for _ in range(10):
        pace.took(pace.share)  # a large host: all of it would take a second
    assert 0.05 < pace.share < 0.2
    pace.took(60.0)  # the machine stood still: half, not a six hundredth
    assert pace.share >= 0.05
    for _ in range(30):
        pace.took(pace.share * 0.05)
    assert pace.limits() == rollups.SMALL


@pytest.mark.django_db
@pytest.mark.usefixtures("cpu_alone")
def test_the_smallest_step_gets_on(queued, monkeypatch):
    now = datetime.now(UTC)
    for minute in range(300):
        stored(now - timedelta(minutes=minute), cpu__usage_percent=1.0)
    limits = rollups.Limits(*(round(one * tasks._Pace.LEAST) for one in rollups.SMALL))
    steps = 0
    while rollups.step(now, limits):
        steps += 1
        assert steps < 300
    assert {row.resolution for row in Rollup.objects.all()} >= {60, 600, 3600}


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_complained_of_once(queued, monkeypatch, caplog):
    def away(now, limits):
        raise OperationalError("database is locked\nmore")

    monkeypatch.setattr(rollups, "step", away)
    with caplog.at_level(logging.WARNING):
        tasks.roll_up()
        tasks.roll_up()
    assert [record.getMessage() for record in caplog.records] == [
        "Roll-ups wait until the next minute: database is locked"
    ]
    assert queued == []


@pytest.mark.django_db
def test_sqlite_is_waited_for_hardly_at_all_and_then_as_before():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL locks the row without waiting")

    def patience():
        with connection.cursor() as cursor:
            return cursor.execute("PRAGMA busy_timeout").fetchone()[0]

    before = patience()
    with impatient():
        assert patience() == 100
    assert patience() == before


@pytest.mark.django_db
def test_postgresql_locks_the_state_without_waiting():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite locks the whole database")
    stored()
    rollups.step(datetime.now(UTC))
    for wait, expected in ((False, "FOR UPDATE NOWAIT"), (True, "FOR UPDATE")):
        with CaptureQueriesContext(connection) as queries:
            rollups.step(datetime.now(UTC), wait=wait)
        assert any(query["sql"].endswith(expected) for query in queries)


def test_beat_sends_the_first_step_every_minute_to_the_maintenance_queue(settings):
    entry = app.conf.beat_schedule["roll-up"]
    assert entry["task"] == tasks.roll_up.name
    assert entry["schedule"] == entry["options"]["expires"] == 60
    route = app.amqp.router.route({}, entry["task"])
    assert route["queue"].name == settings.MAINTENANCE_QUEUE
