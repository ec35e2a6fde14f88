import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from metrics import rebuild, rollups
from metrics.management.commands.backfill import progress
from metrics.models import MetricsSnapshot, Rollup
from metrics.tests.builders import stored

pytestmark = pytest.mark.django_db


def backfill(*arguments):
    output = io.StringIO()
    call_command("backfill", "rollups", *arguments, stdout=output, stderr=output)
    return output.getvalue()


def total():
    return sum(sum(row.data["n"]) for row in Rollup.objects.filter(resolution=60, collector="cpu"))


@pytest.fixture
def samples():
    now = datetime.now(UTC)
    return [stored(now - timedelta(days=days), cpu__usage_percent=1.0) for days in (40, 2, 1)]


def test_everything_is_rolled_up_at_once(samples):
    assert "All roll-ups are up to date" in backfill()
    assert total() == 3
    assert {row.resolution for row in Rollup.objects.all()} == {60, 600, 3600, 86400}


def test_only_the_range_is_made_anew(samples):
    backfill()
    MetricsSnapshot.objects.all().delete()
    stored(samples[0].timestamp)  # so that the table is not empty
    stored(datetime.now(UTC))
    backfill("--from", "now-3d", "--to", "now-36h")
    assert total() == 2


def test_the_table_can_be_dropped_and_made_again(samples):
    backfill()
    before = list(Rollup.objects.order_by("resolution", "collector", "start").values_list("data"))
    Rollup.objects.all().delete()
    backfill()
    after = list(Rollup.objects.order_by("resolution", "collector", "start").values_list("data"))
    assert after == before


def test_an_empty_database_is_done_at_once():
    assert "All roll-ups are up to date" in backfill()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--from", "yesterday"], "'yesterday' is not understood"),
        (["--from", "now", "--to", "now-1h"], "--from must be before --to"),
        (["--from", "1969-01-01"], "not between 1970 and 2200"),
    ],
)
def test_a_wrong_time_is_said_in_one_line(arguments, sentence):
    with pytest.raises(CommandError) as error:
        backfill(*arguments)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_database_that_is_away_is_said_in_one_line(monkeypatch):
    def away(*_):
        raise OperationalError("no route to host\nmore")

    monkeypatch.setattr(rebuild, "rebuild", away)
    with pytest.raises(CommandError, match=r"no route to host$"):
        backfill()


def test_progress_has_share_rate_and_time_left():
    assert progress(86_400, 64_800, 3.0) == "25 %, 2.0 hours of roll-ups per second, 9 s left"


def test_what_is_left_goes_down_with_what_is_done():
    now = datetime.now(UTC)
    for minutes in range(0, 600, 10):
        stored(now - timedelta(hours=30, minutes=minutes))
    backfill()
    left = list(rebuild.rebuild(now - timedelta(hours=40), now - timedelta(hours=30)))
    halfway = left[len(left) // 2]
    assert 0.3 * left[0] < halfway < 0.7 * left[0]


def test_the_help_says_when_it_is_needed(capsys):
    with pytest.raises(SystemExit):
        call_command("backfill", "rollups", "--help")
    text = capsys.readouterr().out
    assert "It may run while PerfWatch runs" in " ".join(text.split())


def test_it_goes_on_with_what_was_pending(samples):
    while rollups.step(datetime.now(UTC)) and total() < 1:
        pass
    backfill("--from", "now-1h")
    assert total() == 3
