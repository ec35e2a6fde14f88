import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError

from metrics import lock, retention, rollups, tasks
from metrics.models import ArchivePolicy, Config, MetricsSnapshot
from metrics.tests.builders import stored
from perfwatch_site.celery import app

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]


@pytest.fixture(autouse=True)
def queued(monkeypatch):
    """The messages that steps queued."""
    messages = []
    monkeypatch.setattr(tasks.CLEANING_UP, "busy_until", 0.0)
    monkeypatch.setattr(tasks.CLEANING_UP, "complaint", "")
    monkeypatch.setitem(tasks.REST_SECONDS, "sqlite", 0)
    monkeypatch.setattr(tasks.clean_up, "apply_async", lambda kwargs: messages.append(kwargs))  # noqa: PLW0108
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    Config(key="sampling", value={"interval_seconds": 3_600}).save()
    now = datetime.now(UTC)
    for hours in (24 * 40, 24 * 20, 4, 3, 2, 1):
        stored(now - timedelta(hours=hours), interval=3_600)
    return messages


def run_all(queued):
    tasks.clean_up()
    steps = 1
    while queued:
        tasks.clean_up(**queued.pop())
        steps += 1
        assert steps < 100
    return steps


def test_the_task_cleans_up_and_queues_its_successor_until_all_is_done(queued):
    while rollups.step(datetime.now(UTC), rollups.LARGE):
        pass
    assert run_all(queued) > 2
    assert MetricsSnapshot.objects.count() == 5
    assert MetricsSnapshot.objects.filter(metric_data__downsampled__samples=1).count() == 1
    assert ArchivePolicy.current().last_archive_run


def test_it_is_done_once_an_hour(queued, monkeypatch):
    ArchivePolicy.objects.update(last_archive_run=datetime.now(UTC) - timedelta(minutes=50))
    tasks.clean_up()
    assert queued == []
    ArchivePolicy.objects.update(last_archive_run=datetime.now(UTC) - timedelta(minutes=60))
    tasks.clean_up()
    assert len(queued) == 1


def test_a_last_run_in_the_future_does_not_stop_it():
    now = datetime.now(UTC)
    assert tasks.is_due(now + timedelta(days=3), now)


def test_switched_off_it_does_nothing(queued):
    ArchivePolicy.objects.update(archive_enabled=False)
    tasks.clean_up()
    assert queued == []
    assert MetricsSnapshot.objects.count() == 6


def test_while_somebody_writes_it_tries_again_and_then_says_so(queued, monkeypatch, caplog):
    def locked(*_):
        raise OperationalError("database is locked")

    monkeypatch.setattr(retention, "step", locked)
    with caplog.at_level(logging.WARNING):
        assert run_all(queued) == tasks.MOST_TRIES + 1
    assert [one.getMessage() for one in caplog.records] == [
        "Cleaning up waits until the next time: database is locked"
    ]


def test_while_somebody_cleans_by_hand_it_waits(queued, monkeypatch, caplog):
    def held(*_):
        raise lock.Held("Another cleanup is under way.")

    monkeypatch.setattr(retention, "step", held)
    tasks.clean_up()
    assert "Another cleanup is under way." in caplog.text
    assert queued == []


def test_beat_asks_for_it_and_for_maintenance(settings):
    for name, task in (("clean-up", tasks.clean_up), ("maintain", tasks.maintain)):
        entry = app.conf.beat_schedule[name]
        assert entry["task"] == task.name
        assert app.amqp.router.route({}, task.name)["queue"].name == settings.MAINTENANCE_QUEUE
