"""The health checks: is it alive, is it fresh."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as project
from django.db import connection
from django.test import Client
from django.utils import timezone

from metrics.models import AGGREGATED, Config, MetricsSnapshot
from metrics.spooled import NAME, Spooled, tell

CLOSED_PORT = "postgres://me:hunter2@127.0.0.1:1/perfwatch"
ASK = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "perfwatch_site.settings"
django.setup()
from django.test import Client
for path in ("/healthz", "/readyz"):
    answer = Client(headers={"Host": "localhost"}).get(path)
    print(path, answer.status_code, answer.json()["status"])
"""


def store(age=0.0, metric_type=AGGREGATED, downsampled=None, **sampler):
    data = {"sampler": {"id": "1", **sampler}}
    if downsampled:
        data["downsampled"] = downsampled
    when = timezone.now() - timedelta(seconds=age)
    return MetricsSnapshot.objects.create(timestamp=when, metric_type=metric_type, metric_data=data)


def sample_every(seconds):
    Config.objects.update_or_create(
        key="sampling", defaults={"value": {"interval_seconds": seconds}}
    )


def with_session(client):
    client.cookies[project.SESSION_COOKIE_NAME] = "of-somebody"
    return client


# --- /healthz -------------------------------------------------------------------------------


def test_healthz_asks_the_database_nothing(client, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}


def test_healthz_asks_nothing_about_a_session_either(client, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert with_session(client).get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_never_cached_and_sets_no_cookie(client, db, path):
    answer = client.get(path)
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_health_is_only_for_get_and_head(path, method):
    answer = Client(enforce_csrf_checks=True).generic(method, path)
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"


# --- /readyz --------------------------------------------------------------------------------


def test_readyz_is_ready_with_a_fresh_sample_and_asks_once(client, db, django_assert_num_queries):
    store(age=2)
    with django_assert_num_queries(1):
        answer = with_session(client).get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ready"
    assert 2 <= answer.json()["newest_sample_age_seconds"] < 10


def test_readyz_says_that_there_is_no_sample_yet(client, db):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "stale",
        "reason": "There is no sample yet.",
        "newest_sample_age_seconds": None,
    }


@pytest.mark.parametrize(
    ("interval", "age", "status"),
    [
        (1, 14, 200),  # three intervals would be 3 s; 15 s is the least
        (1, 16, 503),
        (5, 14, 200),
        (5, 16, 503),
        (60, 179, 200),
        (60, 181, 503),
        (None, 14, 200),
        (None, 16, 503),
    ],
)
def test_a_sample_is_stale_after_three_intervals_but_not_before_15_s(
    client, db, interval, age, status
):
    if interval:
        sample_every(interval)
    else:
        Config.objects.filter(key="sampling").delete()
    store(age=age)
    assert client.get("/readyz").status_code == status


def test_a_stale_sample_is_named_with_its_age(client, db):
    store(age=1_000)
    answer = client.get("/readyz").json()
    assert answer["reason"].startswith("The newest sample is too old")
    assert 1_000 <= answer["newest_sample_age_seconds"] < 1_010


def test_a_nonsensical_interval_counts_as_the_default(client, db):
    Config.objects.filter(key="sampling").delete()
    Config.objects.bulk_create([Config(key="sampling", value={"interval_seconds": "often"})])
    store(age=14)
    assert client.get("/readyz").status_code == 200


def test_a_sample_from_the_future_is_as_stale_as_an_old_one(client, db):
    store(age=-60)
    assert client.get("/readyz").status_code == 503


def test_the_newest_is_the_one_stored_last_not_the_one_with_the_latest_time(client, db):
    store(age=-3_600)  # then the clock was set back
    store(age=1)
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "other",
    [
        {"metric_type": "of_others"},
        {"source": "sysstat"},
        {"downsampled": {"samples": 12, "bucket_seconds": 60}},
    ],
    ids=["another type", "imported", "downsampled"],
)
def test_what_was_not_sampled_live_never_counts_as_newest(client, db, other):
    store(age=1_000)
    store(age=1, **other)
    assert client.get("/readyz").status_code == 503


@pytest.mark.parametrize(
    "other",
    [
        {"metric_type": "of_others"},
        {"source": "sysstat"},
        {"downsampled": {"samples": 12, "bucket_seconds": 60}},
    ],
    ids=["another type", "imported", "downsampled"],
)
def test_what_was_not_sampled_live_hides_no_fresh_sample(client, db, other):
    store(age=1)
    store(age=1_000, **other)
    assert client.get("/readyz").status_code == 200


def test_a_table_that_is_away_is_a_database_that_does_not_answer(client, db):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metrics_snapshot RENAME TO elsewhere")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "reason": "The database does not answer.",
    }


@pytest.fixture
def told(settings, tmp_path):
    """The sampler has said that samples are being spooled."""
    settings.PERFWATCH_DATA_DIR = tmp_path
    since = datetime(2026, 3, 1, 12, tzinfo=UTC)
    tell(Spooled(7, since, "the database takes nothing, it is read-only", 2), tmp_path)
    return tmp_path / NAME


WORDS = (
    "7 samples spooled since 2026-03-01 12:00:00 UTC: the database takes nothing, it is read-only."
    " 2 had to be dropped."
)


def test_readyz_says_that_samples_are_being_spooled_and_why(client, db, told):
    store(age=100)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reason"] == WORDS
    assert answer.json()["spooled"] == {
        "samples": 7,
        "since": "2026-03-01T12:00:00Z",
        "reason": "the database takes nothing, it is read-only",
        "dropped": 2,
        "trouble": "",
    }


def test_while_the_spool_is_written_to_the_database_readyz_is_ready_and_says_so(client, db, told):
    tell(Spooled(1, None, "", 0), told.parent)
    store(age=1)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["spooled"]["samples"] == 1


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"samples": null}', "[]"])
def test_a_status_that_nobody_can_read_is_none(client, db, told, text):
    told.write_text(text)
    store(age=1)
    assert client.get("/readyz").json().keys() == {"status", "newest_sample_age_seconds"}


def test_readyz_says_why_no_sample_comes(client, db, told):
    tell(Spooled(trouble="No tick came for 40 s: the broker does not answer."), told.parent)
    store(age=100)
    assert client.get("/readyz").json()["reason"] == (
        "No tick came for 40 s: the broker does not answer."
    )


def test_the_live_page_says_it_too(viewer_client, told):
    store(age=100)
    assert WORDS in viewer_client.get("/").text


def test_a_shorter_status_leaves_nothing_of_a_longer_one(told):
    tell(Spooled(), told.parent)
    assert json.loads(told.read_text())["samples"] == 0


def test_without_database_the_process_is_alive_but_not_ready(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=project.BASE_DIR,
        env={
            "PERFWATCH_ENV_FILE": "",
            "PERFWATCH_DATA_DIR": str(tmp_path / "var"),
            "DATABASE_URL": CLOSED_PORT,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "/healthz 200 ok\n/readyz 503 unavailable\n"
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
