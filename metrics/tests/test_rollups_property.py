"""Any range, from roll-ups, says what the snapshots say: against plain arithmetic over them."""

import math
import random
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import rollups
from metrics.buckets import series_of
from metrics.collectors import lookup
from metrics.collectors.fields import Kind
from metrics.history import history
from metrics.models import Config, MetricsSnapshot, Rollup
from metrics.tests.builders import NOW, document

pytestmark = pytest.mark.django_db

DEVICES = ["eth0.100", 'we"ird\\ é', "lo"]
PLAIN = [
    "cpu.usage_percent",
    "cpu.per_core.0",
    "cpu.per_core.1",
    "cpu.core_count",
    "network.bytes_sent",
    "perf_events.cycles",
    "perf_events.ipc",
    "perf_events.cache_miss_percent",
]
SERIES = [*PLAIN, *(f"network.interfaces.{name}.bytes_sent_per_sec" for name in DEVICES)]


def sampled(chance, moment, interval, boot):
    """One document: values that may be missing, counters that start anew at a reboot."""

    def maybe(value):
        return None if chance.random() < 0.15 else value

    cycles = maybe(chance.randrange(10**9))
    instructions = maybe(chance.randrange(10**9))
    return document(
        moment,
        interval,
        cpu__usage_percent=maybe(round(chance.uniform(0, 100), 2)),
        cpu__per_core=[maybe(round(chance.uniform(0, 100), 2)), maybe(5)][: chance.randint(0, 2)],
        cpu__core_count=maybe(chance.randint(1, 2)),
        network__bytes_sent=maybe(boot + chance.randrange(10**6)),
        network__interfaces={
            name: {"bytes_sent_per_sec": maybe(round(chance.uniform(0, 1e7), 3))}
            for name in DEVICES
            if chance.random() < 0.5
        },
        perf_events__cycles=cycles,
        perf_events__instructions=instructions,
        perf_events__ipc=round(instructions / cycles, 2) if cycles and instructions else None,
        perf_events__cache_misses=maybe(chance.randrange(50)),
        perf_events__cache_references=maybe(chance.randrange(100)),
    )


def folded(chance, moment, data):
    """The document as downsampling leaves it: it stands for many samples."""

    def mirror(change):
        return {
            "cpu": {"usage_percent": change(data["cpu"]["usage_percent"])},
            "network": {
                "interfaces": {
                    name: {"bytes_sent_per_sec": change(values["bytes_sent_per_sec"])}
                    for name, values in data["network"]["interfaces"].items()
                }
            },
            "perf_events": {name: change(data["perf_events"][name]) for name in ("cycles", "ipc")},
        }

    samples = chance.randint(2, 12)
    data["downsampled"] = {
        "samples": samples,
        "bucket_seconds": 60,
        "n": mirror(lambda value: None if value is None else chance.randint(1, samples)),
        "min": mirror(lambda value: None if value is None else value * 0.5),
        "max": mirror(lambda value: None if value is None else value * 1.5),
    }
    return data


def made(chance):
    """Snapshots over some hours: gaps, other intervals, restarts, a few downsampled ones."""
    moment, interval, boot = NOW - timedelta(hours=chance.choice([1, 5, 30])), 30, 0
    rows = []
    while moment < NOW and len(rows) < 60:
        event = chance.random()
        if event < 0.1:
            moment += timedelta(minutes=chance.randint(1, 400))
        elif event < 0.2:
            interval = chance.choice([1, 7, 30, 60, 300])
        elif event < 0.25:
            boot = chance.randrange(10**9)
        data = sampled(chance, moment, interval, boot)
        if chance.random() < 0.1:
            data = folded(chance, moment, data)
        rows.append((moment, data))
        moment += timedelta(
            seconds=interval * chance.choice([1, 1, 1, 2]), microseconds=chance.randrange(9)
        )
    return [row for row in rows if row[0] < NOW]


def put(rows):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(timestamp=moment, metric_type="aggregated", metric_data=data)
        for moment, data in rows
    )


def roll_up(until=NOW, steps=1_000, **options):
    for _ in range(steps):
        if not rollups.step(until, **options):
            return
    assert steps < 1_000, "there is no end to it"


def contents():
    rows = Rollup.objects.order_by("resolution", "collector", "start")
    return list(rows.values_list("resolution", "collector", "start", "data"))


def numbers(values):
    return [value for value in values if value is not None]


def expected(name, rows):
    """Mean, lowest and highest of one series over rows, by its definition."""
    field = series_of(name).field
    values = [(lookup(data, name), data) for _, data in rows]
    if field.kind in (Kind.COUNTER, Kind.CAPACITY):
        last = [None, *numbers(value for value, _ in values)][-1]
        return last, None, None
    weights, totals, lows, highs = [], [], [], []
    for value, data in values:
        fold = data.get("downsampled", {})
        count = lookup(fold.get("n", {}), name) or fold.get("samples", 1)
        low = lookup(fold.get("min", {}), name)
        high = lookup(fold.get("max", {}), name)
        if value is None:
            continue
        low, high = value if low is None else low, value if high is None else high
        weight, total = 1, value
        if field.kind is Kind.DELTA:
            weight = data["sampler"]["interval_seconds"]
            low, high = low / weight, high / weight
        if field.kind is Kind.RATIO:
            total, weight = (
                lookup(data, path) for path in (field.ratio.numerator, field.ratio.denominator)
            )
            if total is None or not weight:
                continue
            if not fold:
                low = high = field.ratio.scale * total / weight
        weights.append(weight * count)
        totals.append(total * count)
        lows.append(low)
        highs.append(high)
    if not weights:
        return None, None, None
    scale = field.ratio.scale if field.ratio else 1
    return scale * sum(totals) / sum(weights), min(lows), max(highs)


def same(one, other):
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9)


def check(rows, start, end, points):
    found = history(SERIES, start, end, points, NOW)
    rows = sorted(rows, key=lambda row: row[0])
    inside = [
        row
        for row in rows
        if found.start <= row[0].timestamp() < found.start + found.points * found.step
    ]
    assert found.points <= points
    assert found.samples == sum(d.get("downsampled", {"samples": 1})["samples"] for _, d in inside)
    longest = max(
        (
            d.get("downsampled", {}).get("bucket_seconds", d["sampler"]["interval_seconds"])
            for _, d in inside
        ),
        default=0,
    )
    assert found.step >= longest == found.interval
    by_point = [[] for _ in range(found.points)]
    for row in inside:
        by_point[int((row[0].timestamp() - found.start) // found.step)].append(row)
    for line in found.lines:
        for index, mine in enumerate(by_point):
            if not mine:
                continue
            mean, low, high = expected(line.name, mine)
            where = (line.name, index, found.resolution)
            assert same(line.mean[index], mean), (where, line.mean[index], mean)
            if line.low is not None:
                assert same(line.low[index], low), (where, line.low[index], low)
                assert same(line.high[index], high), (where, line.high[index], high)
        mean, low, high = expected(line.name, inside)
        if line.low is not None:
            assert same(line.statistics.mean, mean), (line.name, line.statistics.mean, mean)
            assert same(line.statistics.minimum, low)
            assert same(line.statistics.maximum, high)
        else:
            assert same(line.statistics.last, mean)


RANGES = [(1, 720), (6, 100), (6, 7), (40, 300), (24 * 30, 400), (24 * 200, 100), (100, 1)]


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(seed=st.integers(0, 2**32))
def test_any_range_equals_what_the_snapshots_say(db, seed):
    chance = random.Random(seed)
    rows = made(chance)
    with transaction.atomic():
        # Some are rolled up as they come, the rest comes in another order and late.
        late = {index for index in range(len(rows)) if chance.random() < 0.2}
        punctual = [row for index, row in enumerate(rows) if index not in late]
        put(punctual[: len(punctual) // 2])
        roll_up(steps=chance.choice([0, 1, 3, 1_000]))
        put(punctual[len(punctual) // 2 :])
        roll_up(steps=chance.choice([0, 2, 1_000]), limits=rollups.Limits(rows=7, slots=15))
        rest = [rows[index] for index in late]
        chance.shuffle(rest)
        put([row for row in rest if "downsampled" not in row[1]])
        put([row for row in rest if "downsampled" in row[1]])
        for moment, data in rows:
            if "downsampled" in data:  # an importer says what it writes
                rollups.changed(moment, moment + timedelta(seconds=1))
        roll_up()
        start = NOW - timedelta(hours=chance.uniform(0, 40))
        for hours, points in RANGES:
            check(rows, NOW - timedelta(hours=hours), NOW, points)
        check(rows, start, start + timedelta(minutes=chance.randint(1, 600)), 120)
        before = contents()
        # From nothing, in one go, and once more: the same rows.
        Rollup.objects.all().delete()
        Config.objects.filter(key="rollup_state").delete()
        roll_up(limits=rollups.LARGE)
        assert contents() == before
        rollups.changed(NOW - timedelta(hours=30), NOW)
        roll_up()
        assert contents() == before
        transaction.set_rollback(True)
