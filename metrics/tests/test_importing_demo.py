"""Invented days: plausible, before anything real, removable."""

import io
from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest
from django.core.management import CommandError, call_command

from metrics import rebuild
from metrics.collectors import FIELDS, getter
from metrics.importing.checks import check
from metrics.importing.demo import DemoDays
from metrics.importing.demo_host import INCIDENTS, current
from metrics.models import MetricsSnapshot
from metrics.querysets.snapshots import imported, snapshots
from metrics.tests.builders import NOW, stored


@pytest.fixture(scope="module")
def days():
    """A week with all of the incidents but one."""
    return list(DemoDays(7, NOW).items())


def usage(rows, hours, weekdays):
    return mean(
        row.document["cpu"]["usage_percent"]
        for row in rows
        if row.timestamp.hour in hours
        and row.timestamp.weekday() in weekdays
        and current(row.timestamp) is None
    )


def test_days_have_a_daily_and_a_weekly_rhythm(days):
    day = usage(days, range(10, 16), range(5))
    night = usage(days, range(22, 24), range(5))
    weekend = usage(days, range(10, 16), range(5, 7))
    assert day > 2 * weekend > 2 * night


def test_incidents_have_names_and_show(days):
    begun = {one.name for _, one in DemoDays(14, NOW).incidents()}
    assert begun == {one.name for one in INCIDENTS if one.every > 1}
    told = {row.document["sampler"].get("incident") for row in days} - {None}
    assert {"nightly backup", "newsletter goes out", "noisy neighbour"} <= told
    steal = [row for row in days if row.document["cpu"]["steal_percent"] > 5]
    assert {row.document["sampler"]["incident"] for row in steal} == {"noisy neighbour"}


def test_documents_are_as_ours_and_within_bounds(days):
    for row in days[::37]:
        check(row.document)
        cpu = row.document["cpu"]
        modes = [cpu[f"{m}_percent"] for m in ("user", "nice", "system", "idle", "iowait", "irq")]
        modes += [cpu["softirq_percent"], cpu["steal_percent"]]
        assert sum(modes) == pytest.approx(100, abs=0.1)
        for field in FIELDS:
            value = getter(field.path)(row.document)
            if field.path.endswith("percent") and value is not None:
                assert 0 <= value <= 100, field.path


def test_counters_only_grow(days):
    for name in ("bytes_sent", "packets_recv"):
        values = [row.document["network"][name] for row in days]
        assert values == sorted(values)


def backfill(*arguments):
    output = io.StringIO()
    call_command("backfill", *arguments, stdout=output, stderr=io.StringIO())
    return output.getvalue()


@pytest.mark.django_db
def test_they_come_before_the_oldest_real_row_and_go_again(cpu_alone, monkeypatch):
    monkeypatch.setitem(rebuild.REST_SECONDS, "sqlite", 0)
    at = datetime.now(UTC) - timedelta(hours=3)
    real = stored(at)
    told = backfill("demo", "1")
    assert "Imported 1,440 rows" in told
    assert imported().last_moment() < at < imported().last_moment() + timedelta(minutes=3)
    assert snapshots().newest().rows[0].id == real.id
    assert "1,440 rows were stored already" in backfill("demo", "1")
    assert "Imported 1,440 rows" in backfill("demo", "2")
    assert "Removed 2,880 rows" in backfill("demo", "--remove")
    assert list(MetricsSnapshot.objects.values_list("id", flat=True)) == [real.id]


@pytest.mark.parametrize("days", [[], ["0"], ["367"], ["x"], ["9" * 5000]])
def test_a_wrong_number_of_days_is_said(days):
    with pytest.raises(CommandError, match="DAYS is a whole number from 1 to 366"):
        backfill("demo", *days)
