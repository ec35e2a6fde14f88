"""What a policy would do is told before it is in force."""

from datetime import timedelta

import pytest

from metrics import retention, rollups, sizes
from metrics.archiving import Policy
from metrics.models import Config, MetricsSnapshot
from metrics.rehearsal import Resolution, bytes_ahead, rehearsal, resolutions
from metrics.retention import Run
from metrics.tests.builders import NOW, document

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def sampled(db):
    """One sample every eight hours for 15 days."""
    Config(key="sampling", value={"interval_seconds": 3_600}).save()
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=at, metric_type="aggregated", metric_data=document(at, 3_600))
        for at in (NOW - n * 8 * HOUR + timedelta(milliseconds=3) for n in range(45, 0, -1))
    )


def test_it_tells_what_a_run_then_does():
    policy = Policy(retention_days=12, downsample_after_days=5, interval=86_400)
    told = rehearsal(policy, NOW)
    while rollups.step(NOW, rollups.LARGE):
        pass
    run = Run()
    while not run.is_done:
        run = retention.step(run, policy, NOW)
    assert (told.rows, told.delete_rows, told.fold_rows) == (45, run.deleted, run.folded)
    assert MetricsSnapshot.objects.count() == 45 - run.deleted - run.folded + told.fold_into_rows
    assert told.estimates.isdisjoint({"rows", "delete_rows", "fold_rows"})
    after = rehearsal(policy, NOW)
    assert (after.delete_rows, after.fold_rows, after.fold_into_rows) == (0, 0, 0)
    assert after.oldest.timestamp() % 86_400 == 0


def test_the_bound_by_size_takes_only_what_the_policy_leaves(monkeypatch):
    monkeypatch.setattr(sizes, "MB", 1_000)
    monkeypatch.setattr(sizes, "used_bytes", lambda rows, row: round(rows * row))
    everything = rehearsal(Policy(), NOW).bytes
    whole = Policy(retention_days=30, downsample_after_days=30, max_mb=everything // 1_000 + 1)
    assert rehearsal(whole, NOW).shrink_rows == 0
    half = Policy(retention_days=30, downsample_after_days=30, max_mb=everything // 2_000)
    assert rehearsal(half, NOW).shrink_rows == pytest.approx(45 / 2, abs=1.5)
    assert rehearsal(half, NOW).freed_bytes == pytest.approx(everything / 2, rel=0.1)
    days = Policy(retention_days=5, downsample_after_days=5, max_mb=everything // 2_000)
    assert rehearsal(days, NOW).delete_rows > 45 / 2
    assert rehearsal(days, NOW).shrink_rows == 0


def test_what_will_be_there_is_told_alone_too():
    policy = Policy(retention_days=12, downsample_after_days=5)
    assert bytes_ahead(policy, NOW, 5) == rehearsal(policy, NOW, 5).bytes_in_30_days


def test_less_often_and_less_long_takes_less_room():
    def ahead(interval=5, **values):
        return rehearsal(Policy(**values), NOW, interval).bytes_in_30_days

    assert ahead(interval=60) < ahead() < ahead(interval=1)
    assert ahead() < ahead(downsample_after_days=20) < ahead(downsample_after_days=30)
    assert ahead(retention_days=365) > ahead()
    assert ahead(max_mb=100) == 100_000_000
    assert 100e6 < ahead() < 1_200e6


def test_it_changes_nothing_and_asks_little(django_assert_max_num_queries):
    with django_assert_max_num_queries(45):
        rehearsal(Policy(max_mb=100), NOW)
    assert MetricsSnapshot.objects.count() == 45


def test_resolutions_by_age():
    assert resolutions(Policy(), 5) == (Resolution(0, 7, 5), Resolution(7, 30, 3_600))
    assert resolutions(Policy(downsample_after_days=30), 5) == (Resolution(0, 30, 5),)
    assert resolutions(Policy(interval=60), 900)[1].seconds == 900


def test_an_empty_table_is_rehearsed_too():
    MetricsSnapshot.objects.all().delete()
    told = rehearsal(Policy(), NOW)
    assert (told.rows, told.delete_rows, told.oldest, told.freed_bytes) == (0, 0, None, 0)
