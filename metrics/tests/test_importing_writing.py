"""Rows are written once, below all others, and removed by their source."""

from datetime import timedelta

import pytest

from metrics import retention, rollup_state, rollups
from metrics.importing.base import Ready, marked
from metrics.importing.writing import remove, store
from metrics.live import KINDS, View, news
from metrics.models import ArchivePolicy, MetricsSnapshot, Rollup
from metrics.querysets.snapshots import imported, snapshots
from metrics.tests.builders import NOW, document, stored

pytestmark = pytest.mark.django_db


def ready(timestamp=NOW, source="sysstat:web1", interval=600, **values):
    return Ready(timestamp, marked(document(timestamp, interval, **values), source))


def ready_every(seconds, count, until=NOW, **values):
    times = [until - timedelta(seconds=seconds * left) for left in range(count - 1, -1, -1)]
    return [ready(at, interval=seconds, **values) for at in times]


def rolled_up(now=NOW + timedelta(hours=1)):
    while rollups.step(now, rollups.LARGE):
        pass


def test_documents_arrive_as_they_are():
    odd = 'tab\t line\n quote" back\\slash \\n ü €'
    row = ready(cpu__usage_percent=12.25, host__name=odd, disk__devices={odd: {"read_iops": 1}})
    assert store([row]) == (1, 0, 0)
    found = MetricsSnapshot.objects.get()
    assert (found.timestamp, found.metric_type) == (NOW, "aggregated")
    assert found.metric_data == row.document


def test_the_same_rows_are_written_once():
    rows = ready_every(600, 10)
    store(rows[:6])
    assert store(rows) == (4, 6, 0)
    assert store(rows) == (0, 10, 0)
    assert store([*ready_every(600, 1), *rows[-1:]]) == (1, 1, 0)
    assert MetricsSnapshot.objects.count() == 11


def test_rows_without_id_are_known_by_time_and_source():
    rows = [ready(), ready(source="other")]
    for row in rows:
        row.document["sampler"]["id"] = None
    assert store([*rows, rows[0]]).added == 2
    assert store(rows).added == 0


def test_what_was_folded_since_is_not_brought_in_again(installed):
    now = NOW + timedelta(days=20)
    rows = ready_every(600, 12, until=NOW)
    store(rows)
    ArchivePolicy.objects.update(downsample_after_days=7, retention_days=3000)
    rolled_up(now)
    for _ in retention.whole_run(retention.Run(trusts_clock=True), retention.current_policy(), now):
        pass
    folded = MetricsSnapshot.objects.count()
    assert folded < 5
    assert store(rows) == (0, 12, 0)


def test_a_folded_row_is_not_put_beside_its_samples():
    store(ready_every(600, 6, until=NOW + timedelta(minutes=50)))
    row = ready(downsampled={"samples": 6, "bucket_seconds": 3600, "n": {}, "min": {}, "max": {}})
    row.document["sampler"]["id"] = None
    assert store([row]) == (0, 1, 0)
    later = row._replace(timestamp=NOW + timedelta(hours=1))
    assert store([later]).added == 1
    assert store([later]) == (0, 1, 0)


def test_what_perfwatch_has_sampled_itself_is_left_out_where_gaps_are_filled():
    stored(NOW - timedelta(minutes=15))
    rows = ready_every(600, 3)
    assert store(rows, fills_gaps=True) == (2, 0, 1)
    assert store(rows[1:2]).added == 1


def test_what_was_imported_from_elsewhere_does_not_count_as_sampled():
    store(ready_every(600, 3, source="demo"))
    assert store(ready_every(600, 3), fills_gaps=True).added == 3


def test_ids_are_below_those_of_live_rows_and_the_cursor_does_not_see_them(installed):
    live = stored(NOW, cpu__usage_percent=1.0)
    store(ready_every(5, 3))
    store(ready_every(5, 3, until=NOW + timedelta(seconds=30)))
    later = stored(NOW + timedelta(seconds=5), cpu__usage_percent=1.0)
    assert sorted(imported().values_list("id", flat=True)) == [-6, -5, -4, -3, -2, -1]
    assert later.id == live.id + 1
    assert snapshots().newest().rows[0].id == later.id
    view = View(timedelta(minutes=15), {kind.key: ["x"] for kind in KINDS})
    context = news(snapshots().sampled_live(), view, live.id, NOW + timedelta(seconds=6))
    assert context["cursor"] == later.id


def test_imported_rows_reach_the_roll_ups_also_where_these_are_done(cpu_alone):
    stored(NOW, cpu__usage_percent=50.0)
    rolled_up()
    store(ready_every(600, 6, until=NOW - timedelta(minutes=5), cpu__usage_percent=10.0))
    assert rollup_state.load().tiers[60].pending
    rolled_up()
    chunks = Rollup.objects.filter(resolution=600, collector="cpu")
    assert sum(sum(chunk.data["n"]) for chunk in chunks) == 7


def test_removal_takes_a_source_and_its_roll_ups_and_nothing_else(cpu_alone):
    own = stored(NOW, cpu__usage_percent=50.0)
    store(ready_every(600, 6, until=NOW - timedelta(hours=5)))
    store(ready_every(600, 6, until=NOW - timedelta(hours=5), source="sysstat:db1"))
    store([ready(source="sysstatistics")])
    assert [row[:2] for row in imported().sources()] == [
        ("sysstat:db1", 6),
        ("sysstat:web1", 6),
        ("sysstatistics", 1),
    ]
    rolled_up()
    assert sum(remove("sysstat:web1")) == 6
    assert sum(remove("sysstat")) == 6
    assert list(remove("nothing")) == []
    rolled_up()
    assert MetricsSnapshot.objects.filter(id=own.id).exists()
    chunks = Rollup.objects.filter(resolution=600, collector="cpu")
    assert sum(sum(chunk.data["n"]) for chunk in chunks) == 2


def test_a_fold_of_imported_and_sampled_rows_is_no_longer_removed(installed):
    now = NOW + timedelta(days=20)
    stored(NOW + timedelta(minutes=1), cpu__usage_percent=1.0)
    store(ready_every(600, 5, until=NOW + timedelta(minutes=50)))
    ArchivePolicy.objects.update(downsample_after_days=7, retention_days=3000)
    rolled_up(now)
    for _ in retention.whole_run(retention.Run(trusts_clock=True), retention.current_policy(), now):
        pass
    [row] = MetricsSnapshot.objects.all()
    assert row.metric_data["downsampled"]["samples"] == 6
    assert "source" not in row.metric_data["sampler"]
    assert list(remove("sysstat")) == []
