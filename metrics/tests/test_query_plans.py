"""On PostgreSQL, at half a million rows, our queries and the specification's use their index."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metrics import rollups
from metrics.history import history, series_names
from metrics.querysets.snapshots import snapshots

COUNT = 500_000
END = datetime(2026, 3, 1, 12, tzinfo=UTC)
START = END - timedelta(seconds=5 * COUNT)
BY_TIME = "ix_metrics_snapshot_timestamp"
BY_TYPE = "idx_metrics_type_timestamp"
BY_CHUNK = "uq_metrics_rollup"


@pytest.fixture(scope="module")
def half_a_million(django_db_setup, django_db_blocker):
    """Tiny rows, a few of another type, and the chunks of a month; gone afterwards."""
    if connection.vendor != "postgresql":
        pytest.skip("this reads the plans of PostgreSQL")
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
                " SELECT %s + i * INTERVAL '5 seconds',"
                " CASE WHEN i %% 1000 = 0 THEN 'cpu' ELSE 'aggregated' END, '{}'"
                " FROM generate_series(0, %s) AS i",
                [START, COUNT],
            )
            cursor.execute(
                "INSERT INTO metrics_rollup (resolution, collector, start, data)"
                " SELECT resolution, 'part' || collector,"
                " %s - i * resolution * 60 * INTERVAL '1 second',"
                """ '{"n": [], "seconds": [], "interval": [], "s": {}}'"""
                " FROM generate_series(0, 700) AS i, generate_series(1, 10) AS collector,"
                " unnest(ARRAY[60, 600, 3600]) AS resolution",
                [END],
            )
            cursor.execute("ANALYZE metrics_snapshot, metrics_rollup")
        yield
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE metrics_snapshot, metrics_rollup RESTART IDENTITY")
            cursor.execute("DELETE FROM config WHERE key = 'rollup_state'")
            cursor.execute("ANALYZE metrics_snapshot, metrics_rollup")


pytestmark = [pytest.mark.usefixtures("half_a_million"), pytest.mark.django_db]


def plan(sql):
    """Each index that is used, and each table that is read from end to end."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        top = cursor.fetchone()[0]
    found = set()

    def walk(node):
        if "Index Name" in node:
            found.add(node["Index Name"])
        elif node["Node Type"] == "Seq Scan":
            found.add(node["Relation Name"])
        for inner in node.get("Plans", ()):
            walk(inner)

    walk((json.loads(top) if isinstance(top, str) else top)[0]["Plan"])
    return found


def plans_of(run):
    """What the queries on the two large tables use."""
    with CaptureQueriesContext(connection) as queries:
        run()
    tables = ('"metrics_snapshot"', '"metrics_rollup"', " metrics_snapshot", " metrics_rollup")
    selects = [
        query["sql"]
        for query in queries
        if query["sql"].startswith("SELECT") and any(table in query["sql"] for table in tables)
    ]
    assert selects
    return [plan(sql) for sql in selects]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            "SELECT * FROM metrics_snapshot WHERE timestamp >= '2026-02-20 00:00:00'"
            " AND timestamp < '2026-02-20 23:59:59'",
            BY_TIME,
        ),
        (
            "SELECT * FROM metrics_snapshot WHERE metric_type = 'cpu'"
            " AND timestamp >= '2026-02-01 00:00:00'",
            BY_TYPE,
        ),
    ],
)
def test_the_examples_of_the_specification_use_the_index_that_it_names(sql, index):
    assert plan(sql) == {index}


def test_the_login_query_of_the_specification_uses_an_index_on_the_name():
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users (username, password_hash)"
            " SELECT 'user' || i, 'x' FROM generate_series(1, 2000) AS i"
        )
        cursor.execute("ANALYZE users")
    found = plan("SELECT * FROM users WHERE username = 'admin'")
    # The schema has two indexes on this column; either serves.
    assert found in ({"ix_users_username"}, {"users_username_key"})


@pytest.mark.parametrize("days", [0.01, 1, 20])
def test_a_range_is_read_by_its_indexes(days):
    rollups.step(END)
    start = END - timedelta(days=days)
    found = plans_of(lambda: history(["cpu.usage_percent"], start, END, 720, END))
    assert all(used <= {BY_TYPE, BY_TIME, BY_CHUNK} for used in found), found
    assert any(used & {BY_TYPE, BY_TIME} for used in found)
    found = plans_of(lambda: series_names("cpu.per_core.*", start, END, END))
    assert all(used <= {BY_TYPE, BY_TIME, BY_CHUNK} for used in found), found


def test_rolling_up_reads_by_its_indexes():
    rollups.step(END)
    own = {BY_TYPE, BY_TIME, BY_CHUNK, "metrics_snapshot_pkey"}
    for later in (0, 400, 4_000):
        moment = END + timedelta(seconds=later)
        found = plans_of(lambda moment=moment: rollups.step(moment))
        assert all(used <= own for used in found), found


def test_the_live_page_reads_by_its_indexes():
    rows = snapshots().sampled_live()
    found = plans_of(lambda: rows.window(END - timedelta(minutes=15), END, 500))
    found += plans_of(rows.newest)
    for used in found:
        assert used - {"config", "config_pkey"} <= {BY_TYPE, BY_TIME, "metrics_snapshot_pkey"}


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("metricssnapshot/", {BY_TYPE, BY_TIME, "metrics_snapshot_pkey"}),
        ("metricssnapshot/?since=2026-02-20", {BY_TYPE, BY_TIME, "metrics_snapshot_pkey"}),
        ("metricssnapshot/?until=2026-02-20", {BY_TYPE, BY_TIME, "metrics_snapshot_pkey"}),
        (
            "metricssnapshot/?before=2026-02-10T00:00:00%2B00:00_5",
            {BY_TYPE, BY_TIME, "metrics_snapshot_pkey"},
        ),
        ("rollup/?resolution=600&collector=cpu", {BY_CHUNK}),
        ("rollup/?until=2026-02-28", {BY_CHUNK}),
    ],
)
def test_the_administration_reads_by_its_indexes(administrator_client, path, own):
    def open_page():
        assert administrator_client.get(f"/admin/metrics/{path}").status_code == 200

    for used in plans_of(open_page):
        assert used and used <= own, used
