"""Cleaning up from a page: it asks, does a step for each poll, and goes on after anything."""

import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import OperationalError, connection

from metrics import retention, sizes
from metrics.cleaning import Cleaning, Stale, advanced, begin
from metrics.lock import only_one
from metrics.models import ArchivePolicy, Config, MetricsSnapshot
from metrics.retention import Phase
from metrics.tests.builders import document
from metrics.tests.test_settings_page import HTMX, words

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed", "cpu_alone")]

CLEANUP = "/settings/cleanup/"
DAY = timedelta(days=1)


def now():
    return datetime.now(UTC)


@pytest.fixture
def samples(db):
    """60 samples that are 40 days old, 60 that are 20 days old, in one hour, and the last hours'.

    Those make the clock believed.
    """
    Config(key="sampling", value={"interval_seconds": 3_600}).save()
    days = [now().replace(minute=0, second=0, microsecond=3_000) - n * DAY for n in (40, 20)]
    times = [day + timedelta(minutes=n) for day in days for n in range(60)]
    times += [now() - timedelta(hours=n) for n in (4, 3, 2, 1)]
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=at, metric_type="aggregated", metric_data=document(at, 60))
        for at in times
    )


def poll(client, answer=None, headers=HTMX):
    """Begin, or do what the fragment does by itself: send its hidden field back."""
    run = answer and re.search(r'name="run" value="([^"]*)"', answer.text)
    fields = {"run": html.unescape(run[1])} if run else {}
    return client.post(CLEANUP, fields, headers=headers)


def to_its_end(client, answer=None, headers=HTMX):
    shares = []
    while not answer or 'name="run"' in answer.text:
        answer = poll(client, answer, headers)
        shares += [
            int(one) for one in re.findall(r'<progress max="100" value="(\d+)"', answer.text)
        ]
        assert len(shares) < 500
    return words(answer), shares


def test_it_asks_before_it_does_anything(administrator_client, samples):
    page = words(administrator_client.get(CLEANUP))
    assert "60 rows older than 30 days will be deleted." in page
    assert "60 rows older than 7 days will become about" in page
    assert "What is deleted cannot be brought back." in page
    assert "switched off" not in page and "The clock says" not in page
    assert MetricsSnapshot.objects.count() == 124


def test_it_does_what_it_said_step_by_step_and_logs_who(administrator_client, samples):
    result, shares = to_its_end(administrator_client)
    assert "60 rows deleted, 60 downsampled" in result
    assert MetricsSnapshot.objects.count() == 5
    assert re.search(r"Done in \d+ s\.", result)
    assert re.search(r"about [\d.]+ MB made free", result)
    assert shares == sorted(shares) and len(shares) > 3 and shares[-1] <= 99
    assert ArchivePolicy.objects.get().last_archive_run
    [entry] = LogEntry.objects.all()
    assert (entry.user.username, entry.change_message) == ("boss", "Cleaned up by hand.")
    assert "Nothing is old enough" in words(administrator_client.get(CLEANUP))


def test_each_poll_takes_one_step(administrator_client, samples, monkeypatch):
    steps, step = [], retention.step
    monkeypatch.setattr(retention, "step", lambda *all: steps.append(1) or step(*all))
    answer = poll(administrator_client)
    assert len(steps) == 1
    poll(administrator_client, answer)
    assert len(steps) == 2


def test_without_scripts_a_button_goes_on(administrator_client, samples, monkeypatch):
    monkeypatch.setattr("metrics.cleanup_views.SECONDS_WITHOUT_SCRIPTS", 0.01)
    answer = poll(administrator_client, headers=None)
    assert "Back to the settings" in answer.text  # the whole page
    assert re.search(r"<noscript>.*Go on</button>", answer.text)
    result, _ = to_its_end(administrator_client, answer, headers=None)
    assert "Done in" in result


def test_a_page_that_was_closed_loses_nothing(administrator_client, samples):
    answer = poll(administrator_client)
    while MetricsSnapshot.objects.count() == 124:
        answer = poll(administrator_client, answer)
    asked = words(administrator_client.get(CLEANUP))
    assert "older than 30 days" not in asked
    assert "60 rows older than 7 days will become about" in asked
    to_its_end(administrator_client)
    assert "Nothing is old enough" in words(administrator_client.get(CLEANUP))


def test_two_pages_at_once_finish_together(administrator_client, samples):
    first, second = poll(administrator_client), poll(administrator_client)
    while 'name="run"' in first.text or 'name="run"' in second.text:
        for_first = poll(administrator_client, first) if 'name="run"' in first.text else first
        second = poll(administrator_client, second) if 'name="run"' in second.text else second
        first = for_first
    assert "Done in" in words(first) and "Done in" in words(second)
    assert MetricsSnapshot.objects.count() == 5


def test_while_another_clean_up_is_under_way_it_says_so_and_goes_on_after_it(
    administrator_client, samples, monkeypatch
):
    answer = poll(administrator_client)
    with monkeypatch.context() as patch:
        # On PostgreSQL the lock belongs to the connection, which is the same here.
        patch.setattr(retention, "only_one", _held)
        answer = poll(administrator_client, answer)
    assert "Another clean-up is under way" in words(answer)
    assert "load delay:1s" in answer.text
    assert "Done in" in to_its_end(administrator_client, answer)[0]


def _held(job):
    from metrics.lock import Held

    raise Held(f"Another {job} is under way.")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's lock is a connection's")
def test_the_lock_of_the_hourly_run_is_the_one_that_it_waits_for(administrator_client, samples):
    with only_one(retention.JOB):
        assert "Another clean-up is under way" in words(poll(administrator_client))


def test_a_database_that_is_busy_is_said_and_asked_again(
    administrator_client, samples, monkeypatch
):
    with monkeypatch.context() as patch:

        def busy(*_):
            raise OperationalError("database is locked")

        patch.setattr(retention, "step", busy)
        answer = poll(administrator_client)
    assert "Somebody else writes to the database just now." in words(answer)
    assert "Done in" in to_its_end(administrator_client, answer)[0]


def test_archiving_that_is_switched_off_is_said_before(administrator_client, samples):
    ArchivePolicy.objects.update(archive_enabled=False)
    assert "Cleaning up by itself is switched off." in words(administrator_client.get(CLEANUP))
    answer = poll(administrator_client)
    assert "it goes on only as long as this page is open" in words(answer)
    assert "Done in" in to_its_end(administrator_client, answer)[0]


def test_a_clock_far_ahead_is_said_before(administrator_client):
    at = now() - timedelta(days=40)
    MetricsSnapshot.objects.create(timestamp=at, metric_type="aggregated", metric_data=document(at))
    page = words(administrator_client.get(CLEANUP))
    assert "The clock says" in page and "this deletes what is not old" in page


def test_a_change_of_the_policy_counts_at_once(administrator_client, samples):
    answer = poll(administrator_client)
    ArchivePolicy.objects.update(retention_days=36_500, downsample_after_days=36_500)
    left = MetricsSnapshot.objects.count()
    to_its_end(administrator_client, answer)
    assert MetricsSnapshot.objects.count() == left


@pytest.mark.parametrize("run", ["nonsense", "eyJ9:x:y", "\x00"])
@pytest.mark.parametrize("headers", [None, HTMX])
def test_what_is_not_ours_does_nothing_and_asks_again(administrator_client, samples, run, headers):
    answer = administrator_client.post(CLEANUP, {"run": run}, headers=headers)
    assert "This clean-up is too old to go on. Start it again." in words(answer)
    assert 'name="run"' not in answer.text
    assert MetricsSnapshot.objects.count() == 124
    assert not LogEntry.objects.exists()


def test_a_page_sent_again_deletes_nothing_twice(samples, monkeypatch):
    bounded = {"days": 36_500, "archive_enabled": True, "max_mb": 10}
    ArchivePolicy.objects.update(downsample_after_days=36_500)
    Config(key="retention", value=bounded).save()
    excess = [50]
    monkeypatch.setattr(sizes, "excess", lambda max_mb: excess[0])
    state = begin(now())
    while state.run.over is None:
        state = advanced(state, now())
    sent = Cleaning.of(state.signed())
    assert (sent.run.phase, sent.run.over) == (Phase.SHRINK, 50)
    before = MetricsSnapshot.objects.count()
    advanced(sent, now())
    assert MetricsSnapshot.objects.count() == before - 50
    excess[0] = 0
    advanced(sent, now())
    assert MetricsSnapshot.objects.count() == before - 50
    Config(key="retention", value={"days": 36_500, "archive_enabled": True}).save()
    excess[0] = 50
    advanced(sent, now())
    assert MetricsSnapshot.objects.count() == before - 50


def test_how_far_it_is_travels_signed():
    state = begin(now())
    assert Cleaning.of(state.signed()) == state
    with pytest.raises(Stale):
        Cleaning.of(state.signed()[:-1])


def test_a_session_that_ended_comes_back_to_the_question(client, db):
    headers = HTMX | {"HX-Current-URL": f"http://testserver{CLEANUP}"}
    assert client.post(CLEANUP, headers=headers)["HX-Redirect"] == f"/login/?next={CLEANUP}"
    assert client.post(CLEANUP)["Location"] == f"/login/?next={CLEANUP}"


def test_viewers_do_not_clean_up(viewer_client, samples):
    assert viewer_client.get(CLEANUP).status_code == 403
    assert viewer_client.post(CLEANUP).status_code == 403
    assert MetricsSnapshot.objects.count() == 124


def test_a_poll_takes_few_queries(administrator_client, samples, django_assert_max_num_queries):
    answer = poll(administrator_client)
    with django_assert_max_num_queries(30):
        poll(administrator_client, answer)
