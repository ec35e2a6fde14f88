from datetime import timedelta

import pytest
from django.db import OperationalError

from metrics import storage
from metrics.models import MetricsSnapshot
from metrics.storage import RETRY_SECONDS, SnapshotStore, Waiting
from metrics.tests.builders import NOW, snapshot

# The store looks after its connection, which is only possible outside a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


class Away:
    """The database's boundary: refuses writes until told otherwise."""

    def __init__(self, monkeypatch):
        self.away = True
        self.attempts = 0
        self.lose_answer = False
        self.now = 100.0
        self.insert = storage._insert
        monkeypatch.setattr(storage, "_insert", self)

    def __call__(self, batch):
        self.attempts += 1
        if self.away:
            raise OperationalError("connection refused\n  Is the server running?")
        self.insert(batch)
        if self.lose_answer:
            raise OperationalError("server closed the connection unexpectedly")

    def store(self, **options):
        return SnapshotStore(monotonic=lambda: self.now, **options)


@pytest.fixture
def database(monkeypatch):
    return Away(monkeypatch)


def seconds_later(number):
    return snapshot(NOW + timedelta(seconds=number), cpu__usage_percent=float(number))


def stored_numbers():
    rows = MetricsSnapshot.objects.order_by("id").values_list("metric_data", flat=True)
    return [data["cpu"]["usage_percent"] for data in rows]


def test_a_snapshot_becomes_one_row():
    SnapshotStore().put(snapshot(cpu__usage_percent=12.5))
    row = MetricsSnapshot.objects.get()
    assert (row.timestamp, row.metric_type) == (NOW, "aggregated")
    assert row.metric_data["cpu"]["usage_percent"] == 12.5
    assert row.metric_data["sampler"]["spooled"] == 0


def test_storing_takes_one_insert(django_assert_num_queries):
    store = SnapshotStore()
    store.put(snapshot())
    with django_assert_num_queries(3):  # BEGIN, INSERT, COMMIT
        store.put(snapshot())


def test_what_the_database_does_not_take_is_written_in_order_when_it_is_back(database):
    store = database.store()
    for number in range(5):
        store.put(seconds_later(number))
    assert (len(store.waiting), stored_numbers()) == (5, [])
    database.away = False
    database.now += RETRY_SECONDS
    store.put(seconds_later(5))
    assert (len(store.waiting), stored_numbers()) == (0, [0, 1, 2, 3, 4, 5])


def test_a_database_that_is_away_is_not_asked_at_every_sample(database):
    store = database.store()
    for number in range(10):
        store.put(seconds_later(number))
    assert database.attempts == 1
    database.now += RETRY_SECONDS
    store.put(seconds_later(10))
    assert database.attempts == 2


def test_what_was_stored_although_the_answer_got_lost_is_not_stored_twice(database):
    store = database.store()
    database.away, database.lose_answer = False, True
    store.put(seconds_later(0))
    database.lose_answer = False
    database.now += RETRY_SECONDS
    store.put(seconds_later(1))
    assert stored_numbers() == [0, 1]


def test_what_waits_is_bounded_and_what_is_dropped_is_counted_and_stored(database):
    store = database.store(waiting=Waiting(limit=3))
    for number in range(5):
        store.put(seconds_later(number))
    assert (len(store.waiting), store.waiting.dropped) == (3, 2)
    database.away = False
    database.now += RETRY_SECONDS
    store.put(seconds_later(5))
    store.put(seconds_later(6))
    last = MetricsSnapshot.objects.latest("id").metric_data["sampler"]
    assert (last["spooled"], last["dropped"]) == (0, 3)
    assert stored_numbers() == [3, 4, 5, 6]


def test_one_line_says_that_the_database_is_away_and_one_that_it_is_back(database, caplog):
    store = database.store()
    for number in range(4):
        store.put(seconds_later(number))
    database.away = False
    database.now += RETRY_SECONDS
    store.put(seconds_later(4))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "connection refused" in caplog.records[0].message
    assert "\n" not in caplog.text.strip("\n").partition("\n")[0]
    assert "5 kept samples are written" in caplog.records[1].message


def test_what_waits_is_written_without_a_new_sample(database):
    store = database.store()
    store.put(seconds_later(0))
    database.away = False
    store.write_waiting()
    assert stored_numbers() == []  # it was asked a moment ago
    database.now += RETRY_SECONDS
    store.write_waiting()
    assert stored_numbers() == [0]


def test_an_orderly_end_writes_what_waits_at_once(database):
    store = database.store()
    for number in range(250):
        store.put(seconds_later(number))
    database.away = False
    store.close()
    assert stored_numbers() == list(range(250))


def test_an_end_without_database_says_what_is_lost(database, caplog):
    store = database.store()
    store.put(seconds_later(0))
    store.close()
    assert "1 samples could not be written and are lost" in caplog.text


def test_one_turn_of_writing_is_short_and_the_next_goes_on_in_order(database):
    store = database.store()
    for number in range(250):
        store.put(seconds_later(number))
    insert = database.insert

    def slow(batch):
        database.now += 1
        insert(batch)

    database.away, database.insert = False, slow
    database.now += RETRY_SECONDS
    store.put(seconds_later(250))
    assert stored_numbers() == list(range(storage.BATCH))
    store.put(seconds_later(251))
    store.write_waiting()
    assert stored_numbers() == list(range(252))


def test_more_than_one_batch_is_drained(database):
    store = database.store()
    for number in range(250):
        store.put(seconds_later(number))
    database.away = False
    database.now += RETRY_SECONDS
    store.put(seconds_later(250))
    assert stored_numbers() == list(range(251))
