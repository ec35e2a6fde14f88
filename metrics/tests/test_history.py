"""What history() answers; that the numbers are right is shown by test_rollups_property."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metrics import history as history_module
from metrics import rollup_state, rollups
from metrics.buckets import series_of
from metrics.collectors import FIELDS
from metrics.history import UnknownField, choose, grid_of, history, series_names
from metrics.models import Config, MetricsSnapshot, Rollup
from metrics.querysets.values import WHOLE
from metrics.tests.builders import NOW, document, stored
from metrics.tiers import DAY, TIERS

USAGE = "cpu.usage_percent"
HOUR = timedelta(hours=1)


def roll_up(until=NOW):
    while rollups.step(until, rollups.LARGE):
        pass


def sampled(start, count, seconds=5, value=lambda number: 1.0):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=moment, metric_type="aggregated", metric_data=data)
        for number in range(count)
        for moment in [start + timedelta(seconds=seconds * number)]
        for data in [document(moment, seconds, cpu__usage_percent=value(number))]
    )


def asked(start, end=NOW, points=720, names=(USAGE,), now=NOW):
    return history(names, start, end, points, now)


@pytest.mark.parametrize(
    ("seconds", "points", "resolution"),
    [
        (DAY, 720, 60),
        (30 * DAY, 720, 3_600),
        (365 * DAY, 720, DAY),
        (7 * DAY, 720, 600),
        (7 * DAY, 100, 3_600),
        (6 * 3_600, 720, 60),
        (6 * 3_600 - 1, 720, None),
        (900, 720, None),
        (30 * DAY, 60, 3_600),
    ],
)
def test_the_coarsest_resolution_with_half_the_points_is_chosen(seconds, points, resolution):
    now = NOW.timestamp()
    tier = choose(now - seconds, now, points, now)
    assert (tier and tier.seconds) == resolution


def test_a_resolution_that_is_no_longer_kept_is_not_chosen():
    now = NOW.timestamp()
    old = now - 100 * DAY
    assert choose(old, old + DAY, 720, now) is None
    assert history_module.finest_kept(old, now).seconds == 600
    assert history_module.finest_kept(now - 500 * DAY, now).seconds == 3_600


@pytest.mark.parametrize("points", [1, 2, 7, 100, 720, 2_000])
@pytest.mark.parametrize("seconds", [61, 3_600, 100_000, 30 * DAY + 17])
def test_the_points_cover_the_range_and_are_not_more_than_asked(points, seconds):
    end = NOW.timestamp() + 0.123
    unit = 60
    step = unit * history_module.ceil(seconds / points / unit, 1)
    first, last = grid_of(end - seconds, end, step, unit, points)
    count = (last - first) / step
    assert count == int(count) <= points
    assert last >= end
    assert first <= end - seconds + (step if points >= 100 else unit)


def test_a_question_for_snapshots_is_answered_by_the_mean_of_each_point(db):
    sampled(NOW - timedelta(minutes=10), 120, value=float)
    found = asked(NOW - timedelta(minutes=10), points=60)
    assert (found.resolution, found.step, found.points) == (None, 10, 60)
    assert found.lines[0].mean[:3] == [0.5, 2.5, 4.5]
    assert found.lines[0].low[:3] == [0, 2, 4]
    assert found.lines[0].high[:3] == [1, 3, 5]
    assert (found.samples, found.coverage, found.complete) == (120, 1.0, True)


def test_many_series_of_snapshots_say_the_same_as_each_alone(db):
    start = NOW - timedelta(minutes=10)
    sampled(start, 120, value=float)
    many = [field.path for field in FIELDS if series_of(field.path)]
    assert len(many) >= WHOLE[connection.vendor]
    together = {line.name: line for line in asked(start, names=many).lines}
    assert together[USAGE] == asked(start).lines[0]


def test_folded_documents_are_not_read_where_roll_ups_answer(db):
    start = NOW - 12 * HOUR
    for number in range(12):
        stored(
            start + number * HOUR,
            cpu__usage_percent=float(number),
            downsampled={"samples": 720, "bucket_seconds": 3_600},
        )
    roll_up()
    state = rollup_state.load()
    for tier in TIERS[:2]:
        state.prune(tier, int(NOW.timestamp()))
    rollup_state.save(state)
    with CaptureQueriesContext(connection) as queries:
        found = asked(start, points=100)
    assert found.lines[0].mean == [float(number) for number in range(12)]
    read = [one["sql"] for one in queries if "metrics_snapshot" in one["sql"]]
    # The newest stretch is; the read of all would begin a little before the range.
    assert f"{start:%F}" == "2026-03-01"
    assert not [sql for sql in read if "usage_percent" in sql and "2026-02-28" in sql]


def test_statistics_are_of_all_samples_and_p95_of_the_points(db):
    sampled(NOW - timedelta(minutes=10), 100, value=float)
    found = asked(NOW - timedelta(minutes=10), points=60).lines[0].statistics
    assert (found.minimum, found.mean, found.maximum, found.last) == (0, 49.5, 99, 98.5)
    assert found.p95 == 94.5


def test_a_gap_stays_a_gap_and_counts_as_not_covered(db):
    sampled(NOW - timedelta(hours=24), 60, 60)
    sampled(NOW - timedelta(hours=12), 720, 60)
    roll_up()
    found = asked(NOW - timedelta(hours=24))
    assert found.resolution == 60
    missing = [index for index, value in enumerate(found.lines[0].mean) if value is None]
    assert missing == list(range(30, 360))
    assert found.lines[0].low[100] is found.lines[0].high[100] is None
    assert found.coverage == pytest.approx(13 / 24)


def test_a_sample_that_is_a_moment_late_leaves_no_hole(db):
    start = NOW - timedelta(minutes=5)
    sampled(start, 10)
    sampled(start + timedelta(seconds=55), 10)  # one was missed
    sampled(start + timedelta(seconds=120), 10)  # three were missed
    line = asked(start).lines[0]
    assert line.mean[10] == 1.0
    assert line.mean[21:24] == [None, None, None]


def test_a_spike_is_seen_at_every_zoom(db):
    spike = NOW - timedelta(days=3, minutes=7)
    for moment in (spike - HOUR, spike, NOW - timedelta(days=25), NOW - timedelta(minutes=1)):
        stored(moment, cpu__usage_percent=99.5 if moment == spike else 1.0)
    roll_up()
    for before, points in [(300, 100), (30, 720), (7, 720), (4, 2_000), (3.01, 300)]:
        line = asked(NOW - timedelta(days=before), points=points).lines[0]
        assert line.statistics.maximum == 99.5, before
        assert max(value for value in line.high if value is not None) == 99.5


def test_the_newest_samples_come_from_snapshots(db):
    sampled(NOW - timedelta(hours=24), 24, 3_600)
    roll_up(NOW - timedelta(minutes=4))
    stored(NOW - timedelta(seconds=2), cpu__usage_percent=77.0)
    for days in (1, 7, 30, 365):
        assert asked(NOW - timedelta(days=days)).lines[0].statistics.maximum == 77.0


def test_intervals_of_one_five_and_3600_seconds_share_one_step(db):
    sampled(NOW - timedelta(hours=12), 6, 3_600)
    sampled(NOW - timedelta(hours=6), 600, 5)
    sampled(NOW - timedelta(minutes=5), 300, 1)
    roll_up()
    found = asked(NOW - timedelta(hours=12))
    assert (found.step, found.points, found.interval) == (3_600, 12, 3_600)
    assert all(value is not None for value in found.lines[0].mean[:6])
    assert asked(NOW - timedelta(minutes=4)).step == 1


def test_a_field_without_data_gives_nulls(db):
    stored(NOW - timedelta(minutes=1), cpu__usage_percent=1.0)
    line = asked(NOW - HOUR, names=["network.interfaces.gone.bytes_sent_per_sec"]).lines[0]
    assert set(line.mean) == set(line.low) == set(line.high) == {None}
    assert set(line.statistics) == {None}


def test_an_empty_database_gives_nulls(db):
    for before in (timedelta(minutes=5), timedelta(days=1), timedelta(days=365)):
        found = asked(NOW - before)
        assert set(found.lines[0].mean) == {None}
        assert (found.samples, found.coverage, found.complete) == (0, 0.0, True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cpu.usage", "cpu.usage is not a field that PerfWatch collects."),
        ("host.name", "host.name is text or a flag, which cannot be drawn."),
        ("cpu.per_core.*", "cpu.per_core.* needs the name of a device in place of *."),
        ("processes.top_cpu.1.rss_bytes", "is text or a flag"),
    ],
)
def test_what_is_no_series_is_refused_by_name(name, reason):
    with pytest.raises(UnknownField, match=r".") as error:
        asked(NOW - HOUR, names=[USAGE, name])
    assert reason in str(error.value)


def test_counters_are_their_last_value_and_have_no_band(db):
    for number in range(4):
        stored(NOW - timedelta(minutes=9 - 2 * number), network__bytes_sent=number)
    line = asked(NOW - HOUR, names=["network.bytes_sent"], points=1).lines[0]
    assert (line.mean, line.low, line.high) == ([3], None, None)


def test_a_count_per_sample_is_drawn_per_second(db):
    stored(NOW - timedelta(minutes=2), interval=10, perf_events__cycles=1_000)
    stored(NOW - timedelta(minutes=1), interval=5, perf_events__cycles=2_000)
    line = asked(NOW - HOUR, names=["perf_events.cycles"], points=1).lines[0]
    assert (line.mean, line.low, line.high) == ([200], [100], [400])


def test_a_percentage_is_the_ratio_of_the_sums(db):
    for misses, references in ((1, 10), (50, 100)):
        stored(
            NOW - timedelta(minutes=references),
            perf_events__cache_misses=misses,
            perf_events__cache_references=references,
            perf_events__cache_miss_percent=100 * misses / references,
        )
    name = "perf_events.cache_miss_percent"
    line = asked(NOW - timedelta(hours=2), names=[name], points=1).lines[0]
    assert line.mean == [pytest.approx(100 * 51 / 110)]
    assert (line.low, line.high) == ([10], [50])


def test_the_number_of_queries_does_not_grow_with_range_or_series(db):
    sampled(NOW - timedelta(hours=2), 100, 60)
    roll_up()
    names = [USAGE, "memory.used_bytes", "disk.read_iops", "cpu.per_core.0"]
    for before, expected in ((1, 4), (30, 5), (365, 6)):
        for some in (names[:1], names):
            with CaptureQueriesContext(connection) as queries:
                asked(NOW - timedelta(days=before), names=some)
            # The state, one for each tier from the chosen one down, and the snapshots.
            assert len(queries) <= expected, [query["sql"] for query in queries]


def test_without_roll_ups_a_bounded_number_of_snapshots_is_read(db, monkeypatch):
    monkeypatch.setattr(history_module, "MOST_ROWS", 50)
    sampled(NOW - timedelta(hours=10), 600, 60)
    found = asked(NOW - timedelta(hours=10))
    assert (found.samples, found.complete) == (50, False)
    assert found.lines[0].mean[-1] == 1.0


def test_while_roll_ups_are_made_the_answer_says_that_it_is_not_complete(db):
    sampled(NOW - timedelta(hours=10), 600, 60)
    rollups.step(NOW)
    assert not asked(NOW - timedelta(hours=10)).complete
    roll_up()
    assert asked(NOW - timedelta(hours=10)).complete


def test_downsampled_snapshots_are_not_taken_for_raw_ones(db):
    stored(
        NOW - timedelta(days=10),
        cpu__usage_percent=5.0,
        downsampled={"samples": 720, "bucket_seconds": 3_600, "n": {}, "min": {}, "max": {}},
    )
    roll_up()
    start = NOW - timedelta(days=10, minutes=10)
    found = asked(start, start + timedelta(minutes=30))
    assert (found.resolution, found.step, found.samples) == (60, 3_600, 720)


def test_a_day_with_a_change_to_summer_time_has_no_hole(db):
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    now = start + timedelta(days=2)
    sampled(start, 288 * 2, 300)
    roll_up(now)
    found = asked(start, now, now=now)
    assert found.step == 300
    assert None not in found.lines[0].mean


@pytest.mark.parametrize("days", [0.01, 1, 30, 300])
def test_the_devices_of_a_range_are_found(db, days):
    rate = {"bytes_sent_per_sec": 1.0}
    stored(NOW - timedelta(minutes=8), network__interfaces={"eth0.100": rate})
    roll_up(NOW - timedelta(minutes=1))
    newest = {"eth10": rate, "eth2": rate, 'q"\\é': rate}
    stored(NOW - timedelta(seconds=1), network__interfaces=newest)
    field = "network.interfaces.*.bytes_sent_per_sec"
    with CaptureQueriesContext(connection) as queries:
        found = series_names(field, NOW - timedelta(days=days), NOW, NOW)
    names = [
        name.removeprefix("network.interfaces.").removesuffix(".bytes_sent_per_sec")
        for name in found
    ]
    assert names == ["eth0.100", "eth2", "eth10", 'q"\\é']
    assert len(queries) <= 3


def test_the_cores_of_a_range_are_in_order(db):
    stored(NOW - timedelta(minutes=8), cpu__per_core=[1.0] * 12)
    roll_up()
    found = series_names("cpu.per_core.*", NOW - HOUR, NOW, NOW)
    assert found == [f"cpu.per_core.{number}" for number in range(12)]


def test_only_a_declared_field_with_a_star_has_devices():
    for name in ("cpu.usage_percent", "cpu.*", "cpu.per_core.1", "disk.partitions.*.fstype"):
        with pytest.raises(UnknownField):
            series_names(name, NOW - HOUR, NOW, NOW)


def test_names_of_all_kinds_are_read_from_roll_ups_and_snapshots(db):
    names = [
        "eth0.100",
        "/mnt/a b",
        'qu"ote',
        "back\\slash",
        "é",
        "日本",
        "per_core",
        "%s",
        "a'b",
        "{}",
    ]
    rates = {name: {"bytes_sent_per_sec": float(number)} for number, name in enumerate(names)}
    series = [f"network.interfaces.{name}.bytes_sent_per_sec" for name in names]
    for moment in (NOW - timedelta(minutes=8), NOW - timedelta(seconds=1)):
        stored(moment, network__interfaces=rates, cpu__per_core=[5.0, None, 7.0])
    for _ in range(2):
        for days in (0.01, 1):
            found = asked(NOW - timedelta(days=days), names=[*series, "cpu.per_core.2"])
            assert [line.statistics.mean for line in found.lines] == [*range(len(names)), 7]
        roll_up(NOW - timedelta(minutes=1))
    assert Rollup.objects.exists()


def test_two_hundred_series_are_read_at_once(db):
    cores = [float(number) for number in range(200)]
    stored(NOW - timedelta(minutes=8), cpu__per_core=cores)
    roll_up()
    names = [f"cpu.per_core.{number}" for number in range(200)]
    for before in (timedelta(minutes=20), timedelta(days=1)):
        found = asked(NOW - before, names=names)
        assert [line.statistics.mean for line in found.lines] == cores


def test_without_a_state_that_can_be_read_snapshots_are(db):
    stored(NOW - timedelta(hours=3), cpu__usage_percent=5.0)
    Config(key=rollup_state.KEY, value=["nonsense"]).save()
    assert asked(NOW - timedelta(days=1)).lines[0].statistics.mean == 5.0
