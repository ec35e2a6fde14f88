"""Vacuum, reindex and compact, on both databases; samples that come meanwhile are kept."""

import io
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from metrics import maintenance
from metrics.models import Config, MetricsSnapshot
from metrics.storage import SnapshotStore
from metrics.tests.builders import NOW, snapshot, stored
from perfwatch_site.tests.workplace import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def maintain(*arguments):
    output = io.StringIO()
    call_command("maintain", *arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.mark.parametrize("job", ["vacuum", "reindex", "compact"])
def test_each_job_keeps_the_rows_and_is_written_down(job):
    kept = stored()
    text = maintain(job, "--yes")
    assert text.startswith(f"{job} took ")
    assert MetricsSnapshot.objects.get() == kept
    assert maintenance.last_done().keys() == {job}


def test_vacuum_gives_free_pages_back_on_sqlite():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL keeps its files")
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=NOW, metric_type="aggregated", metric_data=["x" * 4_000])
        for _ in range(300)
    )
    MetricsSnapshot.objects.all().delete()
    free = _free()
    assert free > 200
    with CaptureQueriesContext(connection) as queries:
        maintain("vacuum")
    assert _free() == 0
    rounds = sum(query["sql"] == "PRAGMA freelist_count" for query in queries) / 2
    assert rounds <= free / maintenance.PAGES + 2


def _free():
    with connection.cursor() as cursor:
        return cursor.execute("PRAGMA freelist_count").fetchone()[0]


def test_an_index_that_was_left_half_made_is_dropped():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite makes indexes in a transaction")
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX left_ccnew ON metrics_snapshot (timestamp)")
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'left_ccnew'::regclass"
        )
        maintain("reindex")
        cursor.execute("SELECT to_regclass('left_ccnew')")
        assert cursor.fetchone() == (None,)


def test_compact_asks_first_and_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(CommandError, match=r"free room .* until it is done.* Say --yes"):
        maintain("compact")
    assert maintenance.last_done() == {}


def test_compact_refuses_where_there_is_no_room(monkeypatch):
    monkeypatch.setattr(maintenance, "need", lambda: maintenance.Need(2_000_000, 1_000_000, ""))
    with pytest.raises(CommandError, match=r"needs 2\.0 MB .* only 1\.0 MB"):
        maintain("compact", "--yes")


def test_an_unknown_job_is_said_in_one_line():
    with pytest.raises(CommandError, match=r"^There is no 'polish': vacuum, reindex or compact\.$"):
        maintain("polish")


def test_beat_does_the_first_daily_the_second_weekly_and_the_third_never():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    done = [
        (hours, job)
        for hours in range(0, 24 * 8, 4)
        for job in maintenance.do_what_is_due(start + timedelta(hours=hours))
    ]
    assert [hours for hours, job in done if job == "vacuum"] == [24 * n for n in range(1, 8)]
    assert [hours for hours, job in done if job != "vacuum"] == [24 * 7]
    assert {job for _, job in done} == {"vacuum", "reindex"}


def test_nonsense_in_the_row_is_replaced():
    Config(key="maintenance", value={"vacuum": 3, "reindex": "2026-01-01", "x": None}).save()
    assert maintenance.last_done() == {}
    assert maintenance.do_what_is_due(NOW) == []
    assert maintenance.last_done().keys() == {"vacuum", "reindex"}


def test_samples_taken_while_the_table_is_locked_are_written_afterwards():
    store = SnapshotStore(retry_seconds=0.05)
    store.start(patience=5)
    let_go, locked = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                if connection.vendor == "postgresql":
                    cursor.execute("LOCK TABLE metrics_snapshot IN ACCESS EXCLUSIVE MODE")
                locked.set()
                let_go.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(5)
    for number in range(5):
        store.put(snapshot(NOW + timedelta(seconds=number), cpu__usage_percent=float(number)))
    assert len(store.waiting) == 5
    let_go.set()
    thread.join()
    assert wait_for(lambda: not store.waiting, limit=10)
    store.close()
    rows = MetricsSnapshot.objects.order_by("timestamp").values_list("metric_data", flat=True)
    assert [data["cpu"]["usage_percent"] for data in rows] == [0, 1, 2, 3, 4]


def test_sessions_that_ended_go_with_the_daily_vacuum():
    for key, days in (("ended", -1), ("open", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=NOW + timedelta(days=days)
        )
    maintenance.do("reindex", NOW)
    assert Session.objects.count() == 2
    maintenance.do("vacuum", NOW)
    assert [row.session_key for row in Session.objects.all()] == ["open"]
