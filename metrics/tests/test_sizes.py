"""Sizes are estimates: near enough to decide by, and quick."""

import os
from datetime import timedelta

import pytest
from django.db import connection

from metrics import sizes
from metrics.models import MetricsSnapshot, Rollup
from metrics.querysets.snapshots import snapshots
from metrics.tests.builders import NOW, document

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed")]


def fill(count, **values):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=NOW + timedelta(seconds=n),
            metric_type="aggregated",
            metric_data=document(**values),
        )
        for n in range(count)
    )


def test_rows_are_counted_and_where_they_are_many_estimated(monkeypatch):
    fill(30)
    assert sizes.count(snapshots()) == (30, True)
    monkeypatch.setitem(sizes.COUNTED, connection.vendor, 10)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE metrics_snapshot")
    rows, is_exact = sizes.count(snapshots())
    assert not is_exact
    assert 25 <= rows <= 35


@pytest.mark.parametrize("more", [0, 900, 9_000])
def test_the_bytes_of_a_row_are_near_those_it_takes(more):
    before = _taken()
    fill(300, mine__text=os.urandom(more // 2).hex())
    row = sizes.snapshot_bytes(snapshots(), newest=True)
    assert (_taken() - before) / 300 == pytest.approx(row, rel=0.35)


def test_the_room_that_large_documents_leave_empty_counts(db):
    before = _taken()
    fill(600, mine__text=os.urandom(1_300).hex())
    row = sizes.snapshot_bytes(snapshots(), newest=True)
    assert (_taken() - before) / 600 == pytest.approx(row, rel=0.1)


def _taken():
    if connection.vendor == "sqlite":
        return sizes.used_bytes(0, 0)
    return sizes.file_bytes()


def test_nothing_is_too_much_in_an_empty_table():
    assert sizes.snapshot_bytes(snapshots(), newest=True) is None
    assert sizes.chunks_bytes(60) == 0
    assert sizes.excess(1) == 0


def test_room_that_deleted_roll_ups_left_is_not_counted():
    """Files of PostgreSQL keep it: once over the bound, all would go, each hour again."""
    fill(300, mine__text=os.urandom(1_000).hex())
    empty = sizes.used_bytes(0, 0)
    Rollup.objects.bulk_create(
        Rollup(resolution=60, collector="cpu", start=NOW + timedelta(hours=n), data={"text": text})
        for n in range(400)
        for text in [os.urandom(4_000).hex()]
    )
    assert sizes.used_bytes(0, 0) - empty == pytest.approx(400 * 8_000, rel=0.35)
    assert sizes.excess(3) > 200
    Rollup.objects.all().delete()
    assert sizes.used_bytes(0, 0) - empty < 100_000
    assert sizes.excess(3) == 0


def test_what_is_beyond_the_bound_is_told_in_rows():
    fill(600, mine__text=os.urandom(2_000).hex())
    assert sizes.excess(1_000) == 0
    assert 200 < sizes.excess(2) <= 600
