from contextvars import ContextVar

import pytest
from django.db import connection

from metrics import slow_queries
from metrics.models import Config

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def watched(db, monkeypatch):
    # The thread still knows the screen that another test asked for.
    monkeypatch.setattr(slow_queries, "_screen", ContextVar("screen", default=""))
    assert connection.execute_wrappers, "connections are watched since they were opened"


def test_a_slow_query_is_logged_in_one_line_without_its_parameters(settings, caplog):
    settings.PERFWATCH_SLOW_QUERY_MS = 0
    list(Config.objects.filter(key="a secret"))
    (record,) = caplog.records
    assert record.message.startswith("A query took ")
    assert "config" in record.message
    assert "a secret" not in record.message
    assert "\n" not in record.message


def test_a_fast_query_is_not_logged(settings, caplog):
    settings.PERFWATCH_SLOW_QUERY_MS = 60_000
    list(Config.objects.all())
    assert caplog.records == []


def test_a_slow_query_of_a_page_is_logged_with_its_screen(settings, caplog, administrator_client):
    settings.PERFWATCH_SLOW_QUERY_MS = 0
    for path, screen in (("/history/", "history"), ("/admin/metrics/config/", "admin:metrics_")):
        caplog.clear()
        assert administrator_client.get(path).status_code == 200
        messages = [record.message for record in caplog.records if "A query" in record.message]
        assert len(messages) >= 2  # who asks, and what is shown
        assert all(message.startswith(f"A query of {screen}") for message in messages), messages


def test_the_request_before_is_forgotten(settings, caplog, administrator_client):
    settings.PERFWATCH_SLOW_QUERY_MS = 0
    administrator_client.get("/history/")
    caplog.clear()
    administrator_client.get("/no-such-page/")
    assert not [record for record in caplog.records if "history" in record.message]


def test_the_database_itself_being_slow_is_noticed(settings, caplog):
    settings.PERFWATCH_SLOW_QUERY_MS = 20
    counted = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000)"
    with connection.cursor() as cursor:
        cursor.execute(f"{counted} SELECT count(*) FROM n")
    (record,) = caplog.records
    assert record.message.startswith("A query took ")
