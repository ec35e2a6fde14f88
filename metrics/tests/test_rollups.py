"""How roll-ups come about; that they are right is shown by test_rollups_property."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from metrics import rollup_state, rollups
from metrics.chunks import column_of
from metrics.models import Config, MetricsSnapshot, Rollup
from metrics.tests.builders import NOW, document, stored
from metrics.tiers import TIERS

pytestmark = pytest.mark.django_db


def roll_up(until=NOW, **options):
    """Do all there is to do; return the number of steps that did something."""
    for steps in range(500):
        if not rollups.step(until, **options):
            return steps
    raise AssertionError("there is no end to it")


def sampled(start, count, seconds=5, **values):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=moment, metric_type="aggregated", metric_data=data)
        for moment in (start + timedelta(seconds=seconds * number) for number in range(count))
        for data in [document(moment, seconds, **values)]
    )


def chunk(resolution, collector, start):
    return Rollup.objects.get(resolution=resolution, collector=collector, start=start).data


def contents():
    rows = Rollup.objects.order_by("resolution", "collector", "start")
    return list(rows.values_list("resolution", "collector", "start", "data"))


HOUR = NOW - timedelta(hours=1)


def test_each_tier_divides_the_next_one_and_its_own_chunk():
    for finer, coarser in pairwise(TIERS):
        assert coarser.seconds % finer.seconds == coarser.chunk % coarser.seconds == 0
        assert finer.chunk % coarser.seconds == 0 or coarser.seconds % finer.chunk == 0


def test_a_chunk_holds_mean_lowest_and_highest_of_each_minute():
    stored(HOUR, cpu__usage_percent=10.0)
    stored(HOUR + timedelta(seconds=5), cpu__usage_percent=40.0)
    stored(HOUR + timedelta(minutes=59), cpu__usage_percent=7.0)
    roll_up(NOW + timedelta(minutes=2))
    data = chunk(60, "cpu", HOUR)
    assert [data["n"][slot] for slot in (0, 1, 59)] == [2, 0, 1]
    assert [data["seconds"][slot] for slot in (0, 1, 59)] == [10, 0, 5]
    usage = data["s"]["cpu.usage_percent"]
    assert {name: (column[0], column[1], column[59]) for name, column in usage.items()} == {
        "avg": (25, None, 7),
        "min": (10, None, 7),
        "max": (40, None, 7),
    }


def test_empty_slots_at_the_end_take_no_room():
    stored(HOUR + timedelta(minutes=1), cpu__usage_percent=10.0)
    stored(HOUR + timedelta(minutes=2))
    roll_up()
    data = chunk(60, "cpu", HOUR)
    assert data["n"] == [0, 1, 1]
    assert data["s"] == {"cpu.usage_percent": {"avg": [None, 10]}}


def test_a_series_has_its_own_count_only_where_it_differs():
    stored(HOUR, cpu__usage_percent=1.0, cpu__user_percent=1.0)
    stored(HOUR + timedelta(seconds=5), cpu__usage_percent=1.0)
    roll_up()
    series = chunk(60, "cpu", HOUR)["s"]
    assert "n" not in series["cpu.usage_percent"]
    assert series["cpu.user_percent"]["n"][0] == 1


def test_a_ratio_keeps_sums_of_the_samples_that_have_both():
    stored(HOUR, perf_events__cycles=100, perf_events__instructions=50, perf_events__ipc=0.5)
    later = HOUR + timedelta(seconds=5)
    stored(later, perf_events__cycles=300, perf_events__instructions=450, perf_events__ipc=1.5)
    stored(HOUR + timedelta(seconds=10), perf_events__cycles=1_000)
    roll_up()
    series = chunk(60, "perf_events", HOUR)["s"]
    ipc = {name: column[0] for name, column in series["perf_events.ipc"].items()}
    assert ipc == {"num": 500, "den": 400, "min": 0.5, "max": 1.5}
    cycles = {name: column[0] for name, column in series["perf_events.cycles"].items()}
    assert cycles == {"num": 1_400, "min": 20, "max": 200}


def test_counters_and_capacities_keep_their_last_value():
    stored(HOUR, network__bytes_sent=100, memory__total_bytes=8)
    stored(HOUR + timedelta(seconds=5), network__bytes_sent=7, memory__total_bytes=16)
    roll_up()
    assert chunk(60, "network", HOUR)["s"]["network.bytes_sent"]["last"][0] == 7
    assert chunk(60, "memory", HOUR)["s"]["memory.total_bytes"]["last"][0] == 16


def test_text_flags_and_processes_are_no_series():
    process = {"1": {"pid": 1, "name": "init", "cpu_percent": 3.0, "rss_bytes": 10}}
    stored(HOUR, processes__top_cpu=process, network__interfaces={"eth0": {"is_up": True}})
    roll_up()
    assert not Rollup.objects.filter(collector="processes").exists()
    assert chunk(60, "network", HOUR)["s"] == {}


def test_what_somebody_else_stores_is_left_out():
    stored(HOUR, metric_type="cpu", cpu__usage_percent=1.0)
    roll_up()
    assert contents() == []


def test_a_bucket_is_closed_ten_seconds_after_its_end():
    stored(HOUR - timedelta(hours=1))
    roll_up(HOUR)
    stored(HOUR + timedelta(minutes=59), cpu__usage_percent=1.0)
    roll_up(NOW + timedelta(seconds=9))
    assert not Rollup.objects.filter(resolution=60, start=HOUR).exists()
    roll_up(NOW + timedelta(seconds=10))
    assert chunk(60, "cpu", HOUR)["n"][59] == 1


def test_an_open_chunk_is_written_every_five_minutes():
    stored(HOUR - timedelta(hours=1))
    roll_up(HOUR + timedelta(seconds=10))
    sampled(HOUR, 720)
    ends = []
    for second in range(0, 1_800, 60):
        roll_up(HOUR + timedelta(seconds=second + 10))
        until = rollup_state.load().until(TIERS[0])
        if until not in ends:
            ends.append(until)
    minutes = [(end - HOUR.timestamp()) / 60 for end in ends]
    assert minutes == [0, 5, 10, 15, 20, 25]


def test_a_step_without_news_writes_nothing():
    sampled(HOUR, 100)
    roll_up()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert not rollups.step(NOW)
    assert not [q for q in queries if q["sql"].split()[0] in ("INSERT", "UPDATE", "DELETE")]
    reads = [q for q in queries if q["sql"].startswith("SELECT")]
    assert len(reads) == 3  # the state, the highest id, the ids of the overlap


def test_one_step_reads_a_bounded_number_of_snapshots():
    sampled(HOUR, 700)
    rollups.step(NOW)
    with CaptureQueriesContext(connection) as queries:
        rollups.step(NOW, rollups.Limits(rows=50, slots=50))
    assert any(q["sql"].endswith("LIMIT 51") for q in queries)
    assert sum(column_of(chunk(60, "cpu", HOUR)["n"])) <= 60


def test_a_sample_that_was_committed_late_is_found():
    first, second = (stored(HOUR + timedelta(seconds=s), cpu__usage_percent=1.0) for s in (0, 5))
    data, late = first.metric_data, first.id
    first.delete()
    roll_up()
    assert chunk(60, "cpu", HOUR)["n"][0] == 1
    MetricsSnapshot.objects.create(
        id=late, timestamp=HOUR, metric_type="aggregated", metric_data=data
    )
    assert late < second.id
    roll_up()
    assert chunk(60, "cpu", HOUR)["n"][0] == 2


def test_samples_of_an_outage_that_come_later_are_found():
    stored(HOUR)
    roll_up()
    sampled(HOUR + timedelta(minutes=10), 12)
    roll_up()
    assert chunk(60, "cpu", HOUR)["n"][10] == 12
    assert chunk(600, "cpu", NOW.replace(hour=0))["n"][67] == 12


def test_downsampling_leaves_the_finer_roll_ups_as_they_are():
    sampled(HOUR, 24, cpu__usage_percent=1.0)
    roll_up()
    before = contents()
    MetricsSnapshot.objects.all().delete()
    folded = {"samples": 24, "bucket_seconds": 3600, "n": {}, "min": {}, "max": {}}
    stored(HOUR, cpu__usage_percent=1.0, downsampled=folded)
    roll_up()
    assert contents() == before


def test_who_imports_names_the_range():
    stored(HOUR, cpu__usage_percent=1.0)
    roll_up()
    old = datetime(2025, 7, 1, 10, 30, tzinfo=UTC)
    sampled(old, 10, downsampled={"samples": 3, "bucket_seconds": 5}, cpu__usage_percent=2.0)
    rollups.changed(old, old + timedelta(minutes=1))
    roll_up()
    assert chunk(60, "cpu", old.replace(minute=0))["n"][30] == 30
    assert sum(chunk(3600, "cpu", datetime(2025, 6, 26, tzinfo=UTC))["n"]) == 30


def test_what_was_deleted_leaves_its_roll_ups_when_they_are_made_anew():
    old = HOUR - timedelta(days=20)
    sampled(old, 10)
    sampled(HOUR, 10)
    roll_up()
    MetricsSnapshot.objects.filter(timestamp__lt=HOUR).delete()
    rollups.changed(old, NOW)
    roll_up()
    assert not Rollup.objects.filter(resolution=60, start__lt=HOUR).exists()
    assert not Rollup.objects.filter(resolution=600, start__lt=NOW - timedelta(days=1)).exists()


def test_pruned_chunks_are_made_whole_again():
    old = HOUR - timedelta(days=20)
    sampled(old, 700)
    roll_up()
    before = contents()
    Rollup.objects.filter(resolution=60).delete()
    rollups.changed(old, old + timedelta(minutes=1))
    roll_up()
    assert contents() == before


def test_months_without_samples_take_a_few_steps():
    sampled(NOW - timedelta(days=300), 10)
    roll_up(NOW - timedelta(days=300) + timedelta(hours=1))
    assert roll_up() < 20
    sampled(HOUR, 10)
    assert roll_up(NOW + timedelta(hours=1)) < 20
    assert chunk(60, "cpu", HOUR)["n"][0] == 10


def test_a_crash_in_the_middle_changes_nothing(monkeypatch):
    sampled(HOUR - timedelta(hours=2), 720, cpu__usage_percent=3.0)
    roll_up()
    whole = contents()
    Rollup.objects.all().delete()
    Config.objects.filter(key="rollup_state").delete()
    save = rollup_state.save
    calls = []

    def crash(state):
        calls.append(state)
        if len(calls) % 2:
            raise DatabaseError("gone")
        save(state)

    monkeypatch.setattr(rollup_state, "save", crash)
    for _ in range(200):
        try:
            if not rollups.step(NOW):
                break
        except DatabaseError:
            continue
    assert contents() == whole


def test_a_table_that_was_emptied_is_rolled_up_from_the_start():
    sampled(HOUR, 10, cpu__usage_percent=1.0)
    roll_up()
    MetricsSnapshot.objects.all().delete()
    roll_up()
    assert contents() == []


def test_nonsense_in_the_state_is_replaced():
    sampled(HOUR, 10)
    Config(key="rollup_state", value={"60": "yes"}).save()
    roll_up()
    assert chunk(60, "cpu", HOUR)["n"][0] == 10


def test_every_row_of_a_new_collector_needs_no_line_here():
    """All declared series of a full document are rolled up."""
    from metrics.buckets import all_series
    from metrics.collectors import FIELDS
    from metrics.collectors.fields import Kind

    data = {}
    for number, field in enumerate(FIELDS):
        if field.kind is not Kind.STATE:
            *parents, last = field.path.replace("*", "7").split(".")
            target = data
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = number + 1
    MetricsSnapshot.objects.create(
        timestamp=HOUR, metric_type="aggregated", metric_data=data | {"sampler": data["sampler"]}
    )
    roll_up()
    names = {name for row in Rollup.objects.filter(resolution=60) for name in row.data["s"]}
    assert names == {series.name for series, _ in all_series(data)}
    assert names == {f.path.replace("*", "7") for f in FIELDS if f.kind is not Kind.STATE}


def test_what_never_changes_is_written_once_and_read_as_often():
    for second in range(0, 600, 30):
        stored(HOUR + timedelta(seconds=second), interval=30, network__errin_per_sec=0.0)
    roll_up()
    stored_columns = chunk(60, "network", HOUR)["s"]["network.errin_per_sec"]
    assert stored_columns == {"avg": {"all": 0, "slots": 10}}
    assert column_of(stored_columns["avg"]) == [0] * 10
