"""A year of runs on an injected clock: what is kept stays bounded, and adds up."""

from datetime import UTC, datetime, timedelta

import pytest

from metrics import retention, rollups
from metrics.archiving import Policy
from metrics.chunks import header_of
from metrics.models import MetricsSnapshot, Rollup
from metrics.retention import Run
from metrics.tests.builders import document

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]
DAY = timedelta(days=1)
START = datetime(2025, 1, 1, tzinfo=UTC)
HOURS = 217
"""Between two runs: every hour of the day has its turn, and the suite has no time for all 8,760."""


def sample(at):
    MetricsSnapshot.objects.create(
        timestamp=at + timedelta(milliseconds=2),
        metric_type="aggregated",
        metric_data=document(at, 43_200, cpu__usage_percent=at.timetuple().tm_yday),
    )


def clean(policy, now):
    run = Run(trusts_clock=True)
    while not run.is_done:
        run = retention.step(run, policy, now)
    return run


def test_a_year():
    policy = Policy(retention_days=20, downsample_after_days=3, interval=86_400)
    taken, folded, deleted, next_sample = 0, 0, 0, START
    for hour in range(HOURS, 24 * 365, HOURS):
        now = START + timedelta(hours=hour, minutes=17)
        while next_sample < now:
            day = (next_sample - START).days
            if day % 8 == 0 and not 200 < day < 230:  # switched off for a while
                sample(next_sample)
                taken += 1
            next_sample += DAY / 2
        if hour // 1_500 > (hour - HOURS) // 1_500:  # one comes late
            sample(now - 9 * DAY)
            taken += 1
        while rollups.step(now, rollups.LARGE):
            pass
        run = clean(policy, now)
        folded, deleted = folded + run.folded, deleted + run.deleted
        rows = MetricsSnapshot.objects.order_by("timestamp")
        assert not rows.filter(timestamp__lt=now - 22 * DAY).exists()
        assert rows.count() <= 14
    old = rows.filter(timestamp__lt=now - 5 * DAY)
    assert all(row.timestamp.hour == 0 for row in old)
    assert {row.metric_data["downsampled"]["samples"] for row in old} <= {1, 2, 3}
    assert 80 < folded < taken < 105
    assert 35 < deleted < 55
    days = Rollup.objects.filter(resolution=86_400, collector="cpu")
    today = now.replace(hour=0, minute=0)
    kept = rows.filter(timestamp__lt=today).values_list("metric_data", flat=True)
    counted = sum(sum(header_of(row.data).n) for row in days)
    samples = sum(data.get("downsampled", {"samples": 1})["samples"] for data in kept)
    assert samples <= counted <= samples + 3
    assert not Rollup.objects.filter(resolution=60, start__lt=now - 5 * DAY).exists()
