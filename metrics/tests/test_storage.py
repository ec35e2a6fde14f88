import json
import os
import threading
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DataError, InternalError, OperationalError, ProgrammingError

from metrics import storage
from metrics.models import MetricsSnapshot
from metrics.spool import Entry, Spool, Waiting
from metrics.spooled import spooled
from metrics.storage import Ended, SnapshotStore
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
        if self.poison in [json.loads(one.text)["cpu"]["usage_percent"] for one in batch]:
            raise DataError("unsupported Unicode escape sequence")
        self.insert(batch, look_first=look_first)
        if self.lose_answer:
            raise OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def database(monkeypatch):
    return Database(monkeypatch)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool.jsonl")


@pytest.fixture
def no_disk(tmp_path):
    """A spool that nobody can write."""
    return Spool(tmp_path / "missing" / "spool.jsonl")


@pytest.fixture
def start(spool, monkeypatch):
    """Starts stores that ask again every 20 ms, and ends them."""
    monkeypatch.setattr(storage, "LOOK_SECONDS", 0.02)
    started = []

    def start(**options):
        store = SnapshotStore(**{"spool": spool, "retry_seconds": 0.02} | options)
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
    assert wait_for(lambda: not store.unstored(), limit=10)


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
        storage.insert_new([Entry.of(snapshot())], look_first=False)


def test_what_the_database_does_not_take_is_written_in_order_when_it_is_back(start, database):
    store = start()
    database.away = True
    for number in range(5):
        store.put(seconds_later(number))
    assert wait_for(lambda: database.attempts >= 2)
    assert (store.unstored(), stored_numbers()) == (5, [])
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
    monkeypatch.setattr(storage, "LONGEST_UNSAFE", 0.03)
    store = start()
    database.hang.clear()
    for number in range(6):
        store.put(seconds_later(number))
        time.sleep(0.02)
    database.hang.set()
    until_written(store)
    assert wait_for(lambda: "is back" in caplog.text)
    assert caplog.text.count("it does not answer") == 1
    assert stored_numbers() == [0, 1, 2, 3, 4, 5]


def test_what_was_stored_although_the_answer_got_lost_is_not_stored_twice(start, database):
    store = start()
    database.lose_answer = True
    store.put(seconds_later(0))
    assert wait_for(lambda: database.attempts >= 3)
    database.lose_answer = False
    store.put(seconds_later(1))
    until_written(store)
    assert stored_numbers() == [0, 1]


def test_a_clock_set_back_and_forward_meanwhile_changes_no_order(start, database):
    store = start()
    database.away = True
    ticks = [0, 1, -3598, -3597, 4, 3605, 3606]
    for number in ticks:
        store.put(seconds_later(number))
    database.away = False
    until_written(store)
    assert stored_numbers() == ticks


def test_what_the_database_does_not_take_is_on_the_disk(start, database, spool):
    store = start()
    database.away = True
    for number in range(3):
        store.put(seconds_later(number))
    assert wait_for(lambda: len(spool) == 3)
    assert not store.waiting
    assert spool.path.read_bytes().count(b"\n") == 3
    database.away = False
    until_written(store)
    assert spool.path.read_bytes() == b""


def test_while_the_database_takes_them_nothing_is_written_to_the_disk(start, spool):
    store = start()
    for number in range(20):
        store.put(seconds_later(number))
    until_written(store)
    store.close()
    assert spool.path.read_bytes() == b""


def test_what_hangs_in_the_database_is_on_the_disk_soon(start, database, spool, monkeypatch):
    monkeypatch.setattr(storage, "LONGEST_UNSAFE", 0.03)
    store = start()
    database.hang.clear()
    store.put(seconds_later(0))
    assert wait_for(lambda: len(spool) == 1)  # though no second one comes
    database.hang.set()
    until_written(store)
    assert stored_numbers() == [0]


def test_what_an_earlier_process_left_is_written_first_and_once(start, spool):
    entries = [Entry.of(seconds_later(number)) for number in range(250)]
    spool.append(entries)
    spool.close()
    storage.insert_new(entries[:120], look_first=False)  # then it was killed
    store = start()
    store.put(seconds_later(250))
    until_written(store)
    assert stored_numbers() == list(range(251))
    assert spool.path.read_bytes() == b""


@pytest.mark.parametrize("written", [2, 150, 250])
def test_what_was_folded_since_it_was_written_is_not_written_again(start, spool, written):
    entries = [Entry.of(seconds_later(number)) for number in range(250)]
    spool.append(entries)
    spool.close()
    storage.insert_new(entries[:written], look_first=False)  # then it was killed
    newest = MetricsSnapshot.objects.order_by("-id").first()
    MetricsSnapshot.objects.exclude(id=newest.id).delete()  # as folding does
    until_written(start())
    assert stored_numbers() == list(range(written - 1, 250))
    assert spool.path.read_bytes() == b""


@pytest.mark.parametrize("document", [[], {"sampler": 5}, {"cpu": {"usage_percent": 1}}])
def test_what_others_have_written_last_holds_nothing_up(start, spool, document):
    spool.append([Entry.of(seconds_later(0))])
    MetricsSnapshot.objects.create(timestamp=NOW, metric_type="aggregated", metric_data=document)
    until_written(start())
    assert MetricsSnapshot.objects.count() == 2


def test_one_sample_that_is_in_the_spool_twice_is_stored_once(start, spool):
    entry = Entry.of(seconds_later(0))
    spool.append([entry, entry])
    until_written(start())
    assert stored_numbers() == [0]


def test_pages_are_told_how_many_wait_since_when_and_why(start, database, spool, settings):
    settings.PERFWATCH_DATA_DIR = spool.path.parent
    store = start()
    database.away = True
    for number in range(3):
        store.put(seconds_later(number))
    assert wait_for(lambda: spooled().samples == 3)
    assert spooled() == (3, NOW, "the database is away", 0, "")
    database.away = False
    until_written(store)
    assert wait_for(lambda: spooled() == (0, None, "", 0, ""))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OperationalError("connection refused"), "the database is away"),
        (
            OperationalError("database or disk is full"),
            "the database takes nothing, its disk is full",
        ),
        (
            InternalError("cannot execute INSERT in a read-only transaction"),
            "the database takes nothing, it is read-only",
        ),
        (OperationalError("database is locked"), "the database takes nothing, it is locked"),
        (ProgrammingError("no such table, secret"), "the database refuses them"),
    ],
)
def test_reasons_are_words_that_anybody_may_read(error, reason):
    assert storage.reason_of(error) == reason


def test_without_database_and_disk_memory_is_bounded_and_what_is_dropped_is_counted(
    start, database, no_disk, caplog
):
    store = start(spool=no_disk, waiting=Waiting(limit=3))
    database.away = True
    for number in range(5):
        store.put(seconds_later(number))
    assert (store.unstored(), store.dropped) == (3, 2)
    store.put(seconds_later(5))
    database.away = False
    until_written(store)
    store.put(seconds_later(6))
    until_written(store)
    said = [row.metric_data["sampler"] for row in MetricsSnapshot.objects.order_by("id")]
    assert stored_numbers() == [3, 4, 5, 6]
    assert (said[2]["spooled"], said[2]["dropped"]) == (3, 2)
    assert (said[3]["spooled"], said[3]["dropped"]) == (0, 3)
    assert caplog.text.count("the oldest are dropped") == 1
    assert caplog.text.count("samples are kept in memory") == 1


def test_a_disk_that_can_be_written_again_takes_what_is_in_memory(start, database, no_disk):
    store = start(spool=no_disk)
    database.away = True
    for number in range(3):
        store.put(seconds_later(number))
    assert wait_for(lambda: database.attempts >= 2)
    assert len(no_disk) == 0
    no_disk.path.parent.mkdir()
    assert wait_for(lambda: len(no_disk) == 3)
    database.away = False
    until_written(store)
    assert stored_numbers() == [0, 1, 2]


def test_a_spool_that_can_be_read_again_is_written_though_the_database_was_never_away(
    start, spool, caplog
):
    """A disk that was full or read-only at the start holds what an earlier process left."""
    entries = [Entry.of(seconds_later(number)) for number in range(3)]
    spool.append(entries)
    spool.close()
    hidden = spool.path.rename(spool.path.with_name("hidden"))
    spool.path.mkdir()
    store = start(spool=Spool(spool.path))
    store.put(seconds_later(3))
    until_written(store)
    assert "cannot be written" in caplog.text
    spool.path.rmdir()
    hidden.rename(spool.path)
    assert wait_for(lambda: len(stored_numbers()) == 4)
    assert sorted(stored_numbers()) == [0, 1, 2, 3]
    assert wait_for(lambda: spool.path.read_bytes() == b"")


def test_what_could_not_be_told_is_told_later(start, spool, settings):
    settings.PERFWATCH_DATA_DIR = spool.path.parent
    status = spool.path.with_name("spool-status.json")
    status.mkdir()
    store = start()
    store.complain("no tick comes")
    time.sleep(0.1)
    status.rmdir()
    assert wait_for(lambda: spooled().trouble == "no tick comes", 5)


def test_a_connection_that_is_closed_while_it_is_given_up_ends_nobody():
    class Closing:
        """The other thread closes the connection after the first look at it."""

        vendor = "postgresql"
        wrap_database_errors = nullcontext()
        looks = 0

        @property
        def connection(self):
            self.looks += 1
            return Path(os.devnull).open() if self.looks == 1 else None

    storage.give_up(Closing())


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
    assert store.dropped == 1
    assert "the database refuses what it says" in caplog.text


@pytest.mark.parametrize("text", ['{"cpu":{"usage_percent":NaN}}', '{"cpu":'])
def test_a_document_that_no_database_takes_does_not_keep_out_the_others(start, spool, text, caplog):
    before, after = (Entry.of(seconds_later(number)) for number in (0, 2))
    spool.append([before, Entry("poison", NOW, text), after])
    store = start()
    until_written(store)
    assert stored_numbers() == [0, 2]
    assert store.dropped == 1
    assert caplog.text.count("the database refuses what it says") == 1


def test_an_orderly_end_writes_what_waits(start, database):
    store = start()
    database.away = True
    store.put(seconds_later(0))
    assert wait_for(lambda: database.attempts >= 1)
    database.away = False
    store.close()
    assert stored_numbers() == [0]


def test_an_end_without_database_leaves_what_waits_on_the_disk(start, database, spool, caplog):
    store = start()
    database.away = True
    store.put(seconds_later(0))
    store.close()
    assert "1 samples stay in" in caplog.text
    assert spool.path.read_bytes().count(b"\n") == 1


def test_an_end_without_database_and_disk_says_what_is_lost(start, database, no_disk, caplog):
    store = start(spool=no_disk)
    database.away = True
    store.put(seconds_later(0))
    store.close()
    assert "1 samples could not be written and are lost" in caplog.text


def test_what_the_preparation_refuses_is_told_at_the_start(spool):
    def refuse():
        raise RuntimeError("another sampler runs")

    with pytest.raises(RuntimeError, match="another sampler runs"):
        SnapshotStore(spool, prepare=refuse).start(patience=5)


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
