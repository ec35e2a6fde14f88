"""The migrations, forward and backward, with rows in the tables."""

import json

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

INITIAL, INDEXES, FIELDS, DEFAULTS, ROLLUP, VIEWS = (
    "0001_initial_schema",
    "0002_add_indexes",
    "0003_archive_policy_fields",
    "0004_default_settings",
    "0005_rollup",
    "0006_views",
)
TABLES = (
    "accounts_token",
    "archive_policy",
    "config",
    "metrics_rollup",
    "metrics_snapshot",
    "users",
)
TIME = "2026-01-21 10:30:00+00:00"
SNAPSHOT_INDEXES = {"ix_metrics_snapshot_timestamp", "idx_metrics_type_timestamp"}


def migrate(app, name):
    """Go to this migration of the app, forward or backward; None undoes them all."""
    MigrationExecutor(connection).migrate([(app, name)])


def migrate_to_newest():
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.fixture(autouse=True)
def newest_afterwards(transactional_db):
    """Leave the schema to the other tests as they expect it, whatever happens here."""
    before = schema()
    yield
    migrate_to_newest()
    assert schema() == before


def schema():
    """Columns and indexes of the tables, as the database describes them."""
    return {table: (columns(table), indexes(table)) for table in TABLES if exists(table)}


def exists(table):
    return table in connection.introspection.table_names()


def columns(table):
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, table)
    return {column.name: (column.type_code, column.null_ok, column.default) for column in found}


def indexes(table):
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
    return {
        name: (tuple(index["columns"]), index["unique"])
        for name, index in found.items()
        if index["index"] or index["unique"]
    }


def run(statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else None


def insert_rows(days=30):
    """Put one row into each table of metrics, in place of what is there."""
    for table in ("metrics_snapshot", "config", "archive_policy"):
        run(f"DELETE FROM {table}")
    run(
        "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data) VALUES (%s, %s, %s)",
        *(TIME, "aggregated", '{"cpu":{"usage_percent":45.2}}'),
    )
    insert_setting("retention", {"days": days, "archive_enabled": False, "max_mb": 500})
    insert_setting("features", {"perf_events_enabled": False})
    insert_setting("mine", ["anything", 1])
    insert_policy(days)


def insert_setting(key, value):
    run(
        "INSERT INTO config (key, value, updated_at) VALUES (%s, %s, %s)",
        *(key, json.dumps(value), TIME),
    )


def insert_policy(days):
    run(
        "INSERT INTO archive_policy (retention_days, archive_enabled, last_archive_run,"
        " created_at, updated_at) VALUES (%s, %s, %s, %s, %s)",
        *(days, False, TIME, TIME, TIME),
    )


def contents():
    """The rows of the tables of metrics, without the columns that migrations add."""
    policy = "id, retention_days, archive_enabled, last_archive_run, created_at, updated_at"
    return {
        "metrics_snapshot": run("SELECT * FROM metrics_snapshot"),
        "config": settings(),
        "archive_policy": run(f"SELECT {policy} FROM archive_policy"),
    }


def settings():
    found = run("SELECT key, value FROM config")
    return {key: json.loads(value) for key, value in found}


def names(app):
    graph = MigrationExecutor(connection).loader.graph
    return sorted(name for label, name in graph.nodes if label == app)


def test_the_migrations_are_named_and_divided_as_specified():
    assert names("metrics")[:6] == [INITIAL, INDEXES, FIELDS, DEFAULTS, ROLLUP, VIEWS]
    assert names("accounts")[:1] == [INITIAL]


def test_rows_survive_the_way_back_and_forth():
    insert_rows()
    before = contents()
    for name in (FIELDS, INDEXES, INITIAL, INDEXES, FIELDS):
        migrate("metrics", name)
        assert contents() == before, name
    migrate("metrics", DEFAULTS)
    assert contents() | {"config": None} == before | {"config": None}
    assert settings() == before["config"] | {"sampling": {"interval_seconds": 5}}


def test_the_indexes_come_with_their_migration_and_go_with_it():
    insert_rows()
    migrate("metrics", INITIAL)
    assert SNAPSHOT_INDEXES.isdisjoint(indexes("metrics_snapshot"))
    migrate("metrics", INDEXES)
    assert indexes("metrics_snapshot").keys() >= SNAPSHOT_INDEXES


def test_an_existing_policy_gets_the_defaults_of_the_new_columns():
    insert_rows()
    migrate("metrics", INDEXES)
    assert not any(name.startswith("downsample") for name in columns("archive_policy"))
    migrate("metrics", FIELDS)
    query = "SELECT downsample_after_days, downsample_interval FROM archive_policy"
    assert run(query) == [(7, "1 hour")]


def test_a_policy_inserted_after_the_way_back_gets_an_unused_id():
    insert_rows()
    migrate("metrics", INITIAL)
    insert_policy(60)
    migrate("metrics", FIELDS)
    insert_policy(90)
    ids = [id for (id,) in run("SELECT id FROM archive_policy ORDER BY id")]
    assert len(ids) == len(set(ids)) == 3


def test_rollups_go_and_come_back_without_touching_what_they_are_made_of():
    insert_rows()
    before = contents()
    insert = (
        "INSERT INTO metrics_rollup (resolution, collector, start, data)"
        " VALUES (60, 'cpu', %s, '{}')"
    )
    run(insert, TIME)
    migrate("metrics", DEFAULTS)
    assert not exists("metrics_rollup")
    assert contents() == before
    migrate("metrics", ROLLUP)
    assert run("SELECT count(*) FROM metrics_rollup") == [(0,)]
    run(insert, TIME)


def test_the_views_go_and_come_back_without_touching_the_rows():
    insert_rows()
    before = contents()
    migrate("metrics", ROLLUP)
    with connection.cursor() as cursor:
        found = connection.introspection.table_names(cursor, include_views=True)
    assert not any(name.startswith("perfwatch_") for name in found)
    assert contents() == before
    migrate("metrics", VIEWS)
    assert run("SELECT usage_percent, host FROM perfwatch_cpu") == [(45.2, None)]
    assert contents() == before


def test_autovacuum_of_the_big_table_is_set_and_reset():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no autovacuum of this kind")
    options = "SELECT reloptions FROM pg_class WHERE relname = 'metrics_snapshot'"
    assert "autovacuum_vacuum_scale_factor=0.02" in run(options)[0][0]
    migrate("metrics", VIEWS)
    assert not run(options)[0][0]
    migrate_to_newest()
    assert "autovacuum_vacuum_scale_factor=0.02" in run(options)[0][0]


def test_metrics_goes_to_nothing_and_comes_back():
    insert_rows()
    migrate("metrics", None)
    assert not any(exists(table) for table in ("metrics_snapshot", "config", "archive_policy"))
    migrate_to_newest()
    assert run("SELECT count(*) FROM metrics_snapshot") == [(0,)]


def test_accounts_goes_to_nothing_and_comes_back():
    run("INSERT INTO users (username, password_hash) VALUES ('admin', '$2b$12$...')")
    migrate("accounts", None)
    assert not exists("users")
    migrate_to_newest()
    assert run("SELECT count(*) FROM users") == [(0,)]


def test_tokens_come_and_go_without_the_users():
    run("INSERT INTO users (username, password_hash) VALUES ('admin', '$2b$12$...')")
    [(user,)] = run("SELECT id FROM users")
    insert = "INSERT INTO accounts_token (user_id, name, secret_hash) VALUES (%s, 'script', 'abc')"
    run(insert, user)
    migrate("accounts", INITIAL)
    assert not exists("accounts_token")
    assert run("SELECT username FROM users") == [("admin",)]
    migrate_to_newest()
    run(insert, user)
    assert run("SELECT name, last_used FROM accounts_token") == [("script", None)]


def test_users_survive_what_happens_to_the_tables_of_metrics():
    run("INSERT INTO users (username, password_hash) VALUES ('admin', '$2b$12$...')")
    migrate("metrics", None)
    migrate_to_newest()
    assert run("SELECT username, password_hash FROM users") == [("admin", "$2b$12$...")]


def test_an_empty_database_starts_with_three_settings_and_one_policy():
    migrate("metrics", None)
    migrate_to_newest()
    assert settings() == {
        "sampling": {"interval_seconds": 5},
        "features": {"perf_events_enabled": True, "perf_events_cpus": "all"},
        "retention": {"days": 30, "archive_enabled": True},
    }
    assert run("SELECT retention_days FROM archive_policy") == [(30,)]


def test_a_policy_that_is_there_already_is_mirrored():
    migrate("metrics", None)
    migrate("metrics", FIELDS)
    insert_policy(90)
    migrate("metrics", DEFAULTS)
    assert settings()["retention"] == {"days": 90, "archive_enabled": False}
    assert run("SELECT retention_days FROM archive_policy") == [(90,)]


def test_the_first_of_two_policies_is_mirrored():
    migrate("metrics", None)
    migrate("metrics", FIELDS)
    insert_policy(90)
    insert_policy(10)
    migrate("metrics", DEFAULTS)
    assert settings()["retention"]["days"] == 90


def test_settings_that_are_there_already_are_kept():
    migrate("metrics", FIELDS)
    insert_rows(days=45)
    insert_setting("sampling", {"interval_seconds": 60})
    migrate("metrics", DEFAULTS)
    assert settings() == {
        "sampling": {"interval_seconds": 60},
        "features": {"perf_events_enabled": False},
        "retention": {"days": 45, "archive_enabled": False, "max_mb": 500},
        "mine": ["anything", 1],
    }
