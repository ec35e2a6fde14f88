import io
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction

from metrics import lock, retention
from metrics.management.commands import cleanup as command
from metrics.models import ArchivePolicy, Config, MetricsSnapshot
from metrics.tests.builders import stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]


def cleanup(*arguments):
    output = io.StringIO()
    call_command("cleanup", *arguments, stdout=output, stderr=io.StringIO())
    return output.getvalue()


@pytest.fixture
def samples():
    """Forty days of one sample a day, and the last hours, so that the clock is believed."""
    Config(key="sampling", value={"interval_seconds": 3_600}).save()
    now = datetime.now(UTC)
    ages = [timedelta(days=days) for days in (40, 35, 20, 5)]
    ages += [timedelta(hours=hours) for hours in (4, 3, 2, 1)]
    return [stored(now - age, interval=3_600) for age in ages]


@pytest.fixture
def typed(monkeypatch):
    """Types an answer at a terminal."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def type(text):
        monkeypatch.setattr(sys, "stdin", Terminal(text))

    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return type


def test_what_the_policy_says_is_done_and_told(samples, typed):
    text = cleanup()
    assert text.startswith("2 rows deleted, 1 folded, ")
    assert " made free in " in text
    assert MetricsSnapshot.objects.count() == 6
    assert ArchivePolicy.current().last_archive_run


def test_a_dry_run_only_tells(samples):
    text = cleanup("--dry-run")
    assert "Of 8 rows 2 rows older than 30 days would go, 1 older than 7 days" in text
    assert MetricsSnapshot.objects.count() == 8
    assert ArchivePolicy.current().last_archive_run is None


def test_another_number_of_days_for_once_asks_when_it_is_less(samples, typed):
    with pytest.raises(CommandError, match=r"keeps 30 days, not 10\..* Say --yes to go on"):
        cleanup("--retention-days", "10")
    typed("n\n")
    with pytest.raises(CommandError, match=r"^Nothing was changed\.$"):
        cleanup("--retention-days", "10")
    assert MetricsSnapshot.objects.count() == 8
    typed("y\n")
    assert cleanup("--retention-days", "10").startswith("3 rows deleted, 0 folded")
    assert ArchivePolicy.current().retention_days == 30
    cleanup("--retention-days", "500")


def test_where_archiving_is_off_it_asks_first(samples, typed):
    ArchivePolicy.objects.update(archive_enabled=False)
    with pytest.raises(CommandError, match=r"switched off .* nobody is here to ask"):
        cleanup()
    assert cleanup("--yes").startswith("2 rows deleted")


def test_a_clock_far_ahead_of_the_samples_asks_first(typed):
    now = datetime.now(UTC)
    for days in (300, 299, 298):
        stored(now - timedelta(days=days))
    with pytest.raises(CommandError, match="but the samples stored last were taken"):
        cleanup()
    assert cleanup("--yes").startswith("3 rows deleted")


def test_imported_rows_do_not_cast_doubt_on_the_clock():
    now = datetime.now(UTC)
    imported = stored(now - timedelta(days=300))
    MetricsSnapshot.objects.filter(id=imported.id).update(id=-1)
    stored(now)
    assert cleanup().startswith("1 rows deleted")


@pytest.mark.parametrize("days", ["0", "-3", "ten", "36501", "9" * 5_000])
def test_a_wrong_number_is_said_in_one_line(days):
    with pytest.raises(CommandError, match="must be a whole number from 1 to 36500") as error:
        cleanup(f"--retention-days={days}")
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


def test_a_second_one_says_that_there_is_a_first(samples, monkeypatch):
    def held(*_):
        raise lock.Held("Another cleanup is under way.")

    monkeypatch.setattr(retention, "whole_run", held)
    with pytest.raises(CommandError, match="Another cleanup is under way"):
        cleanup()


def test_a_database_that_is_away_is_said_in_one_line(samples, monkeypatch):
    def away(*_):
        raise OperationalError("no route to host\nmore")

    monkeypatch.setattr(retention, "whole_run", away)
    monkeypatch.setattr(command, "MOST_TRIES", 0)
    with pytest.raises(CommandError, match=r"no route to host$"):
        cleanup()


def test_a_full_disk_is_said_with_what_to_do(samples):
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite can be told to be full")
    with connection.cursor() as cursor:
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
        (free,) = cursor.execute("PRAGMA freelist_count").fetchone()
        (page_bytes,) = cursor.execute("PRAGMA page_size").fetchone()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        try:
            with pytest.raises(OperationalError) as full, transaction.atomic():
                stored(mine__text="x" * (free + 10) * page_bytes)
        finally:
            cursor.execute("PRAGMA max_page_count = 1073741823")
    assert command.reason_of(full.value).endswith(
        "is full. Deleting needs some room, too: make 100 MB on its disk, then start this again."
    )


def test_a_lock_that_cannot_be_had_is_nothing_to_wait_for(samples, monkeypatch):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL locks without a file")
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nowhere/perfwatch.sqlite3")
    with pytest.raises(CommandError, match=r"cannot be locked: No such file or directory\.$"):
        cleanup()


def test_progress_has_share_rate_and_time_left():
    run = retention.Run(phase=retention.Phase.FOLD, deleted=100, folded=150)
    assert command.progress(1_000, run, 5.0) == "25 %, 50 rows per second, 15 s left (fold)"
    assert command.progress(0, run, 5.0).startswith("99 %, 50 rows per second, nearly done")
