import logging
import threading
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from metrics import sampling
from metrics.collectors import COLLECTORS, host
from metrics.collectors.base import Collector, NoData, rate
from metrics.collectors.fields import Field, Kind, Unit
from metrics.kernel.host import Host
from metrics.sampling import Sampler
from metrics.tests.fake_host import BOOT_ID, make_host, write


@pytest.fixture
def clock(monkeypatch):
    """Monotonic time by hand."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def collector(name="probe", read=lambda: 1, *, opened=None, document=None):
    fields = (
        Field(f"{name}.value", Kind.RATE, Unit.PER_SECOND, "A value.", "here"),
        Field(f"{name}.things.*.size", Kind.GAUGE, Unit.BYTES, "A size.", "here"),
    )

    def build(now, before, elapsed):
        return {"value": rate(now, before, elapsed), "things": {}}

    return Collector(name, fields, opened or (lambda host, occasion: read), document or build)


def values(*readings):
    """A read that gives these one after the other, and raises those that are exceptions."""
    left = list(readings)

    def read():
        reading = left.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    return read


def sampler_of(tmp_path, *collectors):
    return Sampler(make_host(tmp_path), collectors)


def test_a_snapshot_is_stamped_once_in_utc(tmp_path):
    before = datetime.now(UTC)
    snapshot = sampler_of(tmp_path, collector()).sample()
    assert snapshot.timestamp.tzinfo is UTC
    assert abs((snapshot.timestamp - before).total_seconds()) < 5
    assert snapshot.data["timestamp"].endswith("Z")
    assert datetime.fromisoformat(snapshot.data["timestamp"]) == snapshot.timestamp


def test_a_snapshot_says_who_took_it_how_long_it_took_and_how_late_it_was(tmp_path):
    snapshot = sampler_of(tmp_path, collector()).sample(
        interval=5, due=datetime.now(UTC).timestamp() - 2
    )
    own = snapshot.data["sampler"]
    assert uuid.UUID(own["id"]).version == 4
    assert own["collect_ms"]["probe"] >= 0
    assert own["status"] == {"probe": "ok"}
    assert own["interval_seconds"] == 5
    assert 1900 < own["lateness_ms"] < 10_000


def test_readers_see_the_settings_and_the_last_document_of_their_sample(tmp_path):
    seen = []

    def opened(host, occasion):
        return lambda: seen.append((occasion.features, occasion.previous.get("timestamp")))

    sampler = sampler_of(tmp_path, collector(opened=opened, document=good))
    first = sampler.sample(features={"a": 1}).data["timestamp"]
    second = sampler.sample().data["timestamp"]
    sampler.sample(features={"a": 2})
    assert seen == [({"a": 1}, None), ({"a": 1}, first), ({"a": 2}, second)]


class TestMissedTicks:
    @pytest.fixture
    def at(self, tmp_path, clock, monkeypatch):
        """Take a sample at a time in seconds that was due some seconds before."""
        sampler = sampler_of(tmp_path, collector(document=good))
        wall = SimpleNamespace(offset=1_000_000)

        class FakeDatetime(datetime):
            @classmethod
            def now(cls, zone=None):
                return datetime.fromtimestamp(clock.seconds + wall.offset, zone)

        monkeypatch.setattr(sampling, "datetime", FakeDatetime)

        def sample(seconds, interval=5, late=0.0, ahead=0):
            clock.seconds = seconds
            wall.offset += ahead
            due = seconds + wall.offset - late
            return sampler.sample(interval=interval, due=due).data["sampler"]["missed_ticks"]

        return sample

    def test_it_is_unknown_at_first(self, at):
        assert at(100) is None

    def test_none_is_missed_by_samples_that_are_late_or_early(self, at):
        assert [at(100), at(109, late=4), at(110), at(115.2)] == [None, 0, 0, 0]

    def test_what_was_left_out_is_counted(self, at):
        assert [at(100), at(110), at(129.9, late=4.9), at(130)] == [None, 1, 2, 0]

    def test_a_new_interval_misses_nothing(self, at):
        assert [at(100, 60), at(135, 5), at(140, 5), at(180, 60)] == [None, 0, 0, 0]

    def test_a_clock_that_is_set_misses_nothing(self, at):
        assert [at(100), at(105, ahead=3600), at(110, ahead=-7200)] == [None, 0, 0]


def test_without_a_schedule_lateness_and_interval_are_unknown(tmp_path):
    own = sampler_of(tmp_path, collector()).sample().data["sampler"]
    assert own["lateness_ms"] is own["interval_seconds"] is None


def test_a_rate_divides_by_the_time_between_its_two_readings(tmp_path, clock):
    sampler = sampler_of(tmp_path, collector(read=values(100, 130)))
    assert sampler.sample(interval=5).data["probe"]["value"] is None
    clock.seconds += 3
    assert sampler.sample(interval=5).data["probe"]["value"] == 10


def test_after_a_failed_reading_the_next_rate_covers_the_real_time(tmp_path, clock):
    sampler = sampler_of(tmp_path, collector(read=values(100, OSError("gone"), 160)))
    sampler.sample()
    clock.seconds += 3
    assert sampler.sample().data["probe"]["value"] is None
    clock.seconds += 3
    assert sampler.sample().data["probe"]["value"] == 10


def test_the_document_says_which_boot_it_is_of(tmp_path):
    sampler = Sampler(make_host(tmp_path), [host.COLLECTOR])
    assert sampler.sample().data["host"]["boot_id"] == BOOT_ID
    write(tmp_path / "proc", "sys/kernel/random/boot_id", "another\n")
    assert sampler.sample().data["host"]["boot_id"] == "another"


def test_another_boot_makes_the_rates_unknown(tmp_path, clock):
    sampler = sampler_of(tmp_path, collector(read=values(100, 130, 160)))
    sampler.sample()
    clock.seconds += 3
    write(tmp_path / "proc", "sys/kernel/random/boot_id", "another\n")
    assert sampler.sample().data["probe"]["value"] is None
    clock.seconds += 3
    assert sampler.sample().data["probe"]["value"] == 10


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoData("there is no such thing"), "no data: there is no such thing"),
        (ZeroDivisionError("by\nzero"), "failed: ZeroDivisionError: by zero"),
        (PermissionError(13, "Permission denied"), "failed: PermissionError: [Errno 13]"),
    ],
)
def test_a_collector_that_fails_costs_only_its_own_values(tmp_path, error, status):
    sampler = sampler_of(
        tmp_path, collector("bad", values(error)), collector("good", values({}), document=good)
    )
    data = sampler.sample().data
    assert data["bad"] == {"value": None, "things": {}}
    assert data["good"] == {"fine": True}
    assert data["sampler"]["status"]["bad"].startswith(status)
    assert data["sampler"]["status"]["good"] == "ok"


def good(now, before, elapsed):
    return {"fine": True}


@pytest.mark.parametrize("stage", ["open", "document"])
def test_faults_of_opening_and_of_building_are_isolated_too(tmp_path, stage):
    def fail(*_):
        raise KeyError("x")

    bad = collector("bad", opened=fail) if stage == "open" else collector("bad", document=fail)
    data = sampler_of(tmp_path, bad, collector("good", document=good)).sample().data
    assert data["bad"] == {"value": None, "things": {}}
    assert data["good"] == {"fine": True}


def test_a_collector_that_could_not_open_is_tried_again(tmp_path):
    attempts = iter([NoData("not yet"), None])

    def opened(host, occasion):
        if error := next(attempts):
            raise error
        return lambda: 1

    sampler = sampler_of(tmp_path, collector(opened=opened))
    assert sampler.sample().data["sampler"]["status"]["probe"] == "no data: not yet"
    assert sampler.sample().data["sampler"]["status"]["probe"] == "ok"


def test_an_error_is_logged_once_until_it_changes(tmp_path, caplog):
    read = values(OSError("a"), OSError("a"), OSError("b"), 1, OSError("b"))
    sampler = sampler_of(tmp_path, collector(read=read))
    with caplog.at_level(logging.INFO, logger="perfwatch.sampling"):
        for _ in range(5):
            sampler.sample()
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 3


def test_only_a_fault_of_our_own_comes_with_a_trace(tmp_path, caplog):
    sampler_of(tmp_path, collector(read=values(OSError("a")))).sample()
    assert caplog.records[-1].exc_info is None
    sampler_of(tmp_path / "2", collector(read=values(KeyError("a")))).sample()
    assert caplog.records[-1].exc_info


def test_nan_and_infinity_never_reach_the_document(tmp_path):
    def document(now, before, elapsed):
        return {"value": float("nan"), "things": {"a": [float("inf"), 1.5]}}

    data = sampler_of(tmp_path, collector(document=document)).sample().data
    assert data["probe"] == {"value": None, "things": {"a": [None, 1.5]}}


def test_a_host_without_anything_still_gives_a_whole_document(tmp_path):
    nowhere = str(tmp_path / "nowhere")
    snapshot = Sampler(Host(nowhere, nowhere, nowhere)).sample()
    status = snapshot.data["sampler"]["status"]
    assert all(text.startswith("no data: ") for text in status.values())
    assert snapshot.data["cpu"]["usage_percent"] is None
    assert snapshot.data["disk"]["partitions"] == {}


def test_a_fake_host_is_read_whole_and_nothing_of_this_one(tmp_path):
    sampler = Sampler(make_host(tmp_path))
    data = sampler.sample().data
    assert set(data["sampler"]["status"].values()) == {"ok"}
    assert data["host"]["name"] == "bluebell"
    assert list(data["network"]["interfaces"]) == ["lo", "eth0"]
    assert data["memory"]["total_bytes"] == 1_000_000 * 1024


def test_closing_lets_go_of_descriptors_and_threads():
    before = set(threading.enumerate())
    sampler = Sampler(Host())
    sampler.sample()
    started = set(threading.enumerate()) - before
    assert started
    sampler.close()
    for thread in started:
        thread.join(5)
    assert not set(threading.enumerate()) & started
    assert sampler.sample().data["sampler"]["status"] == dict.fromkeys(
        (collector.name for collector in COLLECTORS), "ok"
    )
    sampler.close()
