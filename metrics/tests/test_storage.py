import threading
import time
from datetime import timedelta

import pytest
from django.db import DataError, OperationalError

from metrics import storage
from metrics.models import MetricsSnapshot
from metrics.storage import Ended, SnapshotStore, Waiting
from metrics.tests.builders import NOW, snapshot
from perfwatch_site.tests.workplace import wait_for

# The store looks after its connection, which is only possible outside a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


class Database:
    """The database's boundary: refuses, hangs or loses its answer when told to."""

    def __init__(self, monkeypatch):
        self.away = self.lose_answer = False
        self.poison = None
        self.attempts = 0
        self.hang = threading.Event()
        self.hang.set()
        self.insert = storage.insert_new
        monkeypatch.setattr(storage, "insert_new", self)

    def __call__(self, batch, *, look_first):
        self.attempts += 1
        self.hang.wait(10)
        if self.away:
            raise OperationalError("connection refused\n  Is the server running?")
        if self.poison in [one.data["cpu"]["usage_percent"] for one in batch]:
            raise DataError("unsupported Unicode escape sequence")
        self.insert(batch, look_first=look_first)
        if self.lose_answer:
            raise OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def database(monkeypatch):
    return Database(monkeypatch)


@pytest.fixture
def start():
    """Starts stores that ask again every 20 ms, and ends them."""
    started = []

    def start(**options):
        store = SnapshotStore(retry_seconds=0.02, **options)
        store.start(patience=5)
        started.append(store)
        return store

    yield start
    for store in started:
        store.close()


def seconds_later(number):
    return snapshot(NOW + timedelta(seconds=number), cpu__usage_percent=float(number))


def stored_numbers():
    rows = MetricsSnapshot.objects.order_by("id").values_list("metric_data", flat=True)
    return [data["cpu"]["usage_percent"] for data in rows]


def until_written(store):
    assert wait_for(lambda: not store.waiting, limit=10)


def test_a_snapshot_becomes_one_row(start):
    store = start()
    store.put(snapshot(cpu__usage_percent=12.5))
    until_written(store)
    row = MetricsSnapshot.objects.get()
    assert (row.timestamp, row.metric_type) == (NOW, "aggregated")
    assert row.metric_data["cpu"]["usage_percent"] == 12.5
    assert row.metric_data["sampler"]["spooled"] == 0


def test_storing_takes_one_insert(django_assert_num_queries):
    with django_assert_num_queries(3):  # BEGIN, INSERT, COMMIT
        storage.insert_new([snapshot()], look_first=False)


def test_what_the_database_does_not_take_is_written_in_order_when_it_is_back(start, database):
    store = start()
    database.away = True
    for number in range(5):
        store.put(seconds_later(number))
    assert wait_for(lambda: database.attempts >= 2)
    assert (len(store.waiting), stored_numbers()) == (5, [])
    database.away = False
    until_written(store)
    assert stored_numbers() == [0, 1, 2, 3, 4]


def test_a_database_that_hangs_holds_nobody_up(start, database):
    store = start()
    database.hang.clear()
    started = time.monotonic()
    for number in range(5):
        store.put(seconds_later(number))
    assert time.monotonic() - started < 1
    database.hang.set()
    until_written(store)
    assert stored_numbers() == [0, 1, 2, 3, 4]


def test_a_database_that_hangs_is_told_once(start, database, caplog, monkeypatch):
    monkeypatch.setattr(storage, "HANG_SECONDS", 0.03)
    store = start(waiting=Waiting(limit=3))
    database.hang.clear()
    for number in range(6):
        store.put(seconds_later(number))
        time.sleep(0.02)
    database.hang.set()
    until_written(store)
    assert wait_for(lambda: "is back" in caplog.text)
    assert caplog.text.count("does not answer") == 1
    assert caplog.text.count("the oldest are dropped") == 1


def test_what_was_stored_although_the_answer_got_lost_is_not_stored_twice(start, database):
    store = start()
    database.lose_answer = True
    store.put(seconds_later(0))
    assert wait_for(lambda: database.attempts >= 3)
    database.lose_answer = False
    store.put(seconds_later(1))
    until_written(store)
    assert stored_numbers() == [0, 1]


def test_what_waits_is_bounded_and_what_is_dropped_is_counted_and_stored(start, database):
    store = start(waiting=Waiting(limit=3))
    database.away = True
    for number in range(5):
        store.put(seconds_later(number))
    assert (len(store.waiting), store.waiting.dropped) == (3, 2)
    store.put(seconds_later(5))
    database.away = False
    until_written(store)
    store.put(seconds_later(6))
    until_written(store)
    said = [row.metric_data["sampler"] for row in MetricsSnapshot.objects.order_by("id")]
    assert stored_numbers() == [3, 4, 5, 6]
    assert (said[2]["spooled"], said[2]["dropped"]) == (3, 2)
    assert (said[3]["spooled"], said[3]["dropped"]) == (0, 3)


def test_one_line_says_that_the_database_is_away_and_one_that_it_is_back(start, database, caplog):
    store = start()
    database.away = True
    for number in range(4):
        store.put(seconds_later(number))
    assert wait_for(lambda: database.attempts >= 3)
    database.away = False
    until_written(store)
    assert wait_for(lambda: len(caplog.records) == 2)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "connection refused" in caplog.records[0].message
    assert "\n" not in caplog.records[0].message
    assert "4 kept samples are written" in caplog.records[1].message


def test_more_than_one_batch_is_written_in_order(start, database):
    store = start()
    database.away = True
    for number in range(250):
        store.put(seconds_later(number))
    database.away = False
    until_written(store)
    assert stored_numbers() == list(range(250))


def test_one_sample_that_the_database_refuses_does_not_keep_out_the_others(start, database, caplog):
    store = start()
    database.away, database.poison = True, 2.0
    for number in range(5):
        store.put(seconds_later(number))
    database.away = False
    until_written(store)
    assert stored_numbers() == [0, 1, 3, 4]
    assert store.waiting.dropped == 1
    assert "the database refuses what it says" in caplog.text


def test_an_orderly_end_writes_what_waits(start, database):
    store = start(waiting=Waiting())
    database.away = True
    store.put(seconds_later(0))
    assert wait_for(lambda: database.attempts >= 1)
    database.away = False
    store.close()
    assert stored_numbers() == [0]


def test_an_end_without_database_says_what_is_lost(start, database, caplog):
    store = start()
    database.away = True
    store.put(seconds_later(0))
    store.close()
    assert "1 samples could not be written and are lost" in caplog.text


def test_what_the_preparation_refuses_is_told_at_the_start():
    def refuse():
        raise RuntimeError("another sampler runs")

    with pytest.raises(RuntimeError, match="another sampler runs"):
        SnapshotStore(prepare=refuse).start(patience=5)


def test_after_the_writer_has_ended_nothing_is_taken_any_more(start, monkeypatch):
    store = start()

    def lost(*_, **__):
        raise RuntimeError("another sampler was quicker")

    monkeypatch.setattr(storage, "insert_new", lost)
    ended = threading.Event()
    store.on_failure = ended.set
    store.put(seconds_later(0))
    assert ended.wait(5)
    with pytest.raises(Ended, match="another sampler was quicker"):
        store.put(seconds_later(1))
