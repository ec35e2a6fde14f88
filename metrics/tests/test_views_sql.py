"""The views with plain columns: what they show, which rows, and by which index."""

import re
from datetime import timedelta

import pytest
from django.db import connection

from metrics.collectors import FIELDS
from metrics.collectors.fields import Kind
from metrics.tests.builders import NOW, stored

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)

VIEWS = {
    "perfwatch_cpu": "cpu.",
    "perfwatch_memory": "memory.",
    "perfwatch_network": "network.",
    "perfwatch_disk": "disk.",
    "perfwatch_perf": "perf_events.",
}
DEVICE_VIEWS = {
    "perfwatch_disk_devices": ("disk.devices.*.", "device"),
    "perfwatch_disk_partitions": ("disk.partitions.*.", "mount_point"),
    "perfwatch_network_interfaces": ("network.interfaces.*.", "interface"),
}


def ask(query, *parameters):
    """The rows as dicts."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def columns(view):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {view} LIMIT 0")
        return [column[0] for column in cursor.description]


def declared(prefix):
    """Last part by path of the fields right below a prefix."""
    rests = {
        field.path.removeprefix(prefix): field for field in FIELDS if field.path.startswith(prefix)
    }
    return {rest.rpartition(".")[2]: field for rest, field in rests.items() if "*" not in rest}


@pytest.mark.parametrize(("view", "prefix"), VIEWS.items())
def test_a_view_has_a_column_for_each_declared_field(view, prefix):
    missing = set(declared(prefix)) - set(columns(view))
    assert not missing, f"{view} lacks {missing}: write a migration, see 0006_views"
    assert columns(view)[:2] == ["timestamp", "host"]


@pytest.mark.parametrize(("view", "of"), DEVICE_VIEWS.items())
def test_a_view_of_devices_has_a_column_for_each_declared_field(view, of):
    prefix, key = of
    missing = set(declared(prefix)) - set(columns(view))
    assert not missing, f"{view} lacks {missing}: write a migration, see 0006_views"
    assert columns(view)[:3] == ["timestamp", "host", key]


def values(prefix):
    """A value for each field, by the parts of its path, and what the view shows of it."""
    given, shown = {}, {}
    for number, (name, field) in enumerate(declared(prefix).items()):
        flag = name in ("available", "read_only", "is_up")
        value = flag or (f"text {number}" if field.kind is Kind.STATE else number + 0.5)
        given[field.path.removeprefix(prefix)] = shown[name] = value
    return given, shown


@pytest.mark.parametrize(("view", "prefix"), VIEWS.items())
def test_every_column_shows_its_field(view, prefix):
    given, shown = values(prefix)
    paths = {(prefix + name).replace(".", "__"): value for name, value in given.items()}
    stored(NOW, host__name="here", **paths)
    [row] = ask(f"SELECT * FROM {view}")
    assert row.pop("timestamp").replace(tzinfo=None) == NOW.replace(tzinfo=None)
    assert row == {"host": "here", **shown}


@pytest.mark.parametrize(("view", "of"), DEVICE_VIEWS.items())
def test_every_device_has_a_row(view, of):
    prefix, key = of
    given, shown = values(prefix)
    devices = {"a.b": given, "/ü 'x'": {}}
    stored(NOW, **{prefix.removesuffix(".*.").replace(".", "__"): devices})
    rows = {row[key]: row for row in ask(f"SELECT * FROM {view}")}
    assert set(rows) == set(devices)
    assert {name: rows["a.b"][name] for name in shown} == shown
    assert all(rows["/ü 'x'"][name] is None for name in shown)


@pytest.mark.parametrize("view", [*VIEWS, *DEVICE_VIEWS])
def test_what_a_document_lacks_is_no_error(view):
    stored(NOW, disk__devices=None, disk__partitions=[], network__interfaces={})
    stored(NOW, cpu=None, memory=None, network=None, disk=None, perf_events=None, host=None)
    assert len(ask(f"SELECT * FROM {view}")) == (2 if view in VIEWS else 0)


def test_rows_of_others_are_not_in_the_views():
    stored(NOW, metric_type="mine", disk__devices={"sda": {}})
    for view in (*VIEWS, *DEVICE_VIEWS):
        assert ask(f"SELECT * FROM {view}") == []


def test_a_number_is_one_also_after_downsampling():
    stored(NOW, memory__used_bytes=2**40 + 0.25, network__bytes_recv=2**63 + 2**12)
    assert ask("SELECT used_bytes FROM perfwatch_memory") == [{"used_bytes": 2**40 + 0.25}]
    [row] = ask("SELECT bytes_recv * 1.0 AS received FROM perfwatch_network")
    assert row == {"received": pytest.approx(2**63)}


@pytest.fixture(scope="module")
def many_rows(django_db_setup, django_db_blocker):
    """Three thousand rows, of which a query wants the last hour."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            numbers = {
                "postgresql": "SELECT %s::timestamptz - i * interval '5 minutes', 'aggregated',"
                " '{}'::jsonb FROM generate_series(1, 3000) i",
                "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                " WHERE i < 3000) SELECT datetime(%s, '-' || (5 * i) || ' minutes'),"
                " 'aggregated', '{}' FROM n",
            }[connection.vendor]
            cursor.execute(
                f"INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data) {numbers}",
                [NOW],
            )
            cursor.execute("ANALYZE metrics_snapshot")
        yield
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM metrics_snapshot")
            if connection.vendor == "sqlite":
                cursor.execute("DROP TABLE sqlite_stat1")


@pytest.mark.parametrize("view", [*VIEWS, *DEVICE_VIEWS])
def test_a_range_of_time_is_found_by_an_index(many_rows, view):
    explain = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}[connection.vendor]
    plan = str(ask(f"{explain} SELECT * FROM {view} WHERE timestamp >= %s", NOW - HOUR))
    assert "ix_metrics_snapshot_timestamp" in plan or "idx_metrics_type_timestamp" in plan
    assert "Seq Scan" not in plan and "SCAN metrics_snapshot" not in plan
    if connection.vendor == "sqlite":
        assert "timestamp>?" in plan
    else:
        assert re.search(r'Index Cond: [^}]*"timestamp" >= ', plan)
