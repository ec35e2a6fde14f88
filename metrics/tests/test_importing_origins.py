"""What is stored of each source, told without opening a document."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metrics.importing import origins
from metrics.importing.origins import sources
from metrics.importing.writing import remove, store
from metrics.models import Config, MetricsSnapshot
from metrics.querysets.snapshots import imported
from metrics.tests.builders import NOW, stored
from metrics.tests.test_importing_writing import ready, ready_every

pytestmark = pytest.mark.django_db


def told():
    return [(one.name, one.rows, one.first, one.last) for one in sources()]


def by_documents():
    return imported().sources()


def an_hour(hours=0, source="sysstat:web1"):
    return ready_every(600, 6, until=NOW - timedelta(hours=hours), source=source)


def test_it_is_what_the_documents_say():
    stored(NOW)
    assert told() == []
    store(an_hour(5))
    store(an_hour(5, source="sysstat:db1"))
    store(an_hour(9))
    mixed = [*an_hour(12), *an_hour(13, source="snapshots:a"), *an_hour(14)]
    store(mixed[::2])
    store(mixed[1::2])
    assert told() == by_documents()
    assert [row[:2] for row in told()] == [
        ("snapshots:a", 6),
        ("sysstat:db1", 6),
        ("sysstat:web1", 24),
    ]


def test_no_document_is_opened():
    store(an_hour())
    with CaptureQueriesContext(connection) as queries:
        assert len(sources()) == 1
    assert not any("metric_data" in one["sql"] for one in queries)
    assert len(queries) == 3


@pytest.mark.parametrize("value", [None, {}, [], {"a": 1}, {"a": [["x", 2]]}, {"a": [[1]]}])
def test_what_is_not_remembered_is_read_from_the_documents(value):
    store(an_hour())
    Config.objects.filter(key=origins.KEY).delete()
    if value is not None:
        Config(key=origins.KEY, value=value).save()
    assert told() == by_documents() != []
    store(an_hour(9, source="demo"))
    assert told() == by_documents()


def test_what_retention_took_is_not_counted():
    store(an_hour(5))
    store(an_hour(9))
    MetricsSnapshot.objects.filter(timestamp__lt=NOW - timedelta(hours=7)).delete()
    assert told() == by_documents()


def test_ids_that_are_given_again_are_the_new_sources():
    store(an_hour(5))
    store(an_hour(9))
    MetricsSnapshot.objects.filter(id__lt=-6).delete()
    store(an_hour(7, source="demo"))
    assert told() == by_documents()
    assert [row[:2] for row in told()] == [("demo", 6), ("sysstat:web1", 6)]


def test_what_is_removed_is_forgotten():
    store(an_hour(5))
    store(an_hour(9, source="sysstat:db1"))
    store(an_hour(9, source="sysstats"))
    assert sum(remove("sysstat")) == 12
    assert [row[:2] for row in told()] == [("sysstats", 6)]
    assert list(Config.objects.get(key=origins.KEY).value) == ["sysstats"]


def test_more_stretches_than_are_told_apart_are_counted_by_their_documents(monkeypatch):
    monkeypatch.setattr(origins, "MOST", 4)
    for hours in range(0, 12, 2):
        store(an_hour(hours))
        store([ready(timestamp=NOW - timedelta(hours=hours, minutes=5), source="demo")])
    assert sum(map(len, Config.objects.get(key=origins.KEY).value.values())) <= 4
    assert told() == by_documents()
