"""The specification's SQL, and ours, across the border between raw and downsampled rows."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from metrics import retention, rollups
from metrics.archiving import Policy
from metrics.history import history
from metrics.models import MetricsSnapshot
from metrics.retention import Run
from metrics.tests.builders import document
from metrics.tests.test_docs import statements
from metrics.tests.test_specification_sql import (
    CPU_USAGE_OVER_LAST_HOUR,
    FILTERED_QUERY,
    HISTORICAL_QUERY,
    run,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]
HOUR = timedelta(hours=1)


@pytest.fixture
def border():
    """Four days around a border two days ago, a sample each 20 minutes: 10, 20, 60 % in turns."""
    now = timezone.now()
    border = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=at,
            metric_type="aggregated",
            metric_data=document(at, 1_200, cpu__usage_percent=float([10, 20, 60][number % 3])),
        )
        for number in range(3 * 12)
        for at in [border - 6 * HOUR + timedelta(minutes=20 * number, milliseconds=3)]
    )
    while rollups.step(now, rollups.LARGE):
        pass
    before = history(["cpu.usage_percent"], border - 6 * HOUR, border + 6 * HOUR, 1, now)
    state = Run(trusts_clock=True)
    while not state.is_done:
        state = retention.step(state, Policy(downsample_after_days=2), now)
    after = history(["cpu.usage_percent"], border - 6 * HOUR, border + 6 * HOUR, 1, now)
    assert after.lines[0].statistics == before.lines[0].statistics
    assert after.samples == before.samples == 36
    return border


def test_the_sample_query_goes_on_in_order_with_means(border):
    if connection.vendor != "postgresql":
        pytest.skip("this statement is PostgreSQL's")
    names, found = run(CPU_USAGE_OVER_LAST_HOUR.replace("'1 hour'", "'4 days'"))
    assert names == ["timestamp", "cpu_usage"]
    assert [usage for _, usage in found] == [30.0] * 6 + [10.0, 20.0, 60.0] * 6
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert found[5][0] == border - HOUR


def test_the_range_queries_find_both_kinds(border):
    day = f"{border - 6 * HOUR:%Y-%m-%d %H:%M:%S}", f"{border + 6 * HOUR:%Y-%m-%d %H:%M:%S}"
    query = HISTORICAL_QUERY.replace("2026-01-21 00:00:00", day[0])
    assert len(run(query.replace("2026-01-21 23:59:59", day[1]))[1]) == 6 + 18
    query = FILTERED_QUERY.replace("2026-01-21 00:00:00", day[0])
    assert run(query)[1] == []
    assert len(run(query.replace("'cpu'", "'aggregated'"))[1]) == 6 + 18


def test_our_query_weighs_by_the_samples_and_keeps_the_extremes(border):
    for vendor, sql in statements("docs/data.md"):
        if vendor == connection.vendor and "downsampled" in sql:
            found = run(sql)[1]
            assert {(mean, low, high) for _, mean, low, high in found} == {(30.0, 10.0, 60.0)}


def test_a_day_before_the_border_is_answered_by_hours(border):
    now = timezone.now()
    answer = history(["cpu.usage_percent"], border - 6 * HOUR, border, 720, now)
    assert (answer.resolution, answer.points) == (3_600, 6)
    assert answer.lines[0].mean == [30.0] * 6
    assert answer.lines[0].high == [60.0] * 6
    answer = history(["cpu.usage_percent"], border, border + 6 * HOUR, 720, now)
    assert answer.resolution == 60 or answer.step <= 1_200
