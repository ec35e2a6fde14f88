"""What is kept, by resolution."""

from datetime import timedelta

import pytest

from metrics import retention, rollups
from metrics.archiving import Policy
from metrics.kept import kept
from metrics.models import Config, MetricsSnapshot
from metrics.retention import Run
from metrics.sizes import COUNTED
from metrics.tests.builders import NOW, document
from metrics.tiers import DAY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]
POLICY = Policy(retention_days=30, downsample_after_days=5)


@pytest.fixture
def ten_days(db):
    """A sample every two hours, 17 ms late as samples are."""
    Config(key="sampling", value={"interval_seconds": 3_600}).save()
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=at, metric_type="aggregated", metric_data=document(at, 7_200))
        for at in (NOW - timedelta(hours=2 * n, milliseconds=-17) for n in range(120, 0, -1))
    )


def forget():
    while rollups.step(NOW, rollups.LARGE):
        pass
    run = Run()
    while not run.is_done:
        run = retention.step(run, POLICY, NOW)


def test_an_empty_table_keeps_nothing():
    assert kept(POLICY, 5, NOW) == []


def test_samples_alone(ten_days):
    [samples] = kept(POLICY, 7_200, NOW)
    assert (samples.seconds, samples.is_rollup, samples.rows, samples.is_exact) == (
        *(7_200, False, 120),
        True,
    )
    assert samples.newest - samples.oldest == timedelta(hours=2 * 119)
    assert samples.bytes == pytest.approx(samples.bytes_per_day * 10, rel=0.01)


def test_what_lies_at_whole_minutes_is_downsampled_or_not(ten_days):
    def bring(days):
        MetricsSnapshot.objects.bulk_create(
            MetricsSnapshot(
                id=-minute - 1000 * days,
                timestamp=NOW - timedelta(days=days, minutes=minute),
                metric_type="aggregated",
                metric_data=document(interval=60, sampler__source="demo"),
            )
            for minute in range(1, 31)
        )

    bring(12)
    assert [(one.rows, one.folded) for one in kept(POLICY, 7_200, NOW)] == [(120, 0), (30, 0)]
    forget()
    assert kept(POLICY, 7_200, NOW)[1].folded == 1
    bring(13)
    assert 0 < kept(POLICY, 7_200, NOW)[1].folded < 1


def test_downsampled_ones_and_roll_ups_stand_apart(ten_days):
    forget()
    samples, folded, *rolled_up = kept(POLICY, 7_200, NOW)
    # The clock is believed up to the last sample, two hours ago.
    assert (samples.rows, folded.rows) == (61, 59)
    assert folded.newest < samples.oldest
    assert [(one.seconds, one.is_rollup) for one in rolled_up] == [
        *((60, True), (600, True), (3_600, True), (DAY, True))
    ]
    for one in rolled_up:
        assert NOW - timedelta(days=11) < one.oldest < one.newest <= NOW
        assert one.bytes > 0 < one.bytes_per_day


def test_many_are_told_as_estimates(ten_days, monkeypatch):
    monkeypatch.setattr("metrics.sizes.COUNTED", dict.fromkeys(COUNTED, 10))
    assert not kept(POLICY, 7_200, NOW)[0].is_exact


def test_it_asks_as_often_for_few_as_for_many(ten_days, django_assert_max_num_queries):
    forget()
    with django_assert_max_num_queries(40):
        kept(POLICY, 7_200, NOW)
