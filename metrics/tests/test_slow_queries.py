import pytest
from django.db import connection

from metrics.models import Config

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def watched(db):
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
