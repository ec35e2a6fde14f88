"""The tables as the database describes them, beside the specification and the roll-ups."""

import re

import pytest
from django.core.management import call_command
from django.db import connection

pytestmark = pytest.mark.django_db

# column, type, nullable, what the database fills in
COLUMNS = {
    "users": """
        id             integer                   NOT NULL  auto-increment
        username       varchar(50)               NOT NULL  -
        password_hash  varchar(255)              NOT NULL  -
        created_at     timestamp with time zone  NOT NULL  now
        last_login     timestamp with time zone  NULL      -
        is_active      boolean                   NOT NULL  true
        is_staff       boolean                   NOT NULL  false
        is_superuser   boolean                   NOT NULL  false
    """,
    "metrics_snapshot": """
        id           bigint                    NOT NULL  auto-increment
        timestamp    timestamp with time zone  NOT NULL  -
        metric_type  varchar(50)               NOT NULL  -
        metric_data  jsonb                     NOT NULL  -
    """,
    "config": """
        key         varchar(100)              NOT NULL  -
        value       jsonb                     NOT NULL  -
        updated_at  timestamp with time zone  NOT NULL  now
    """,
    "archive_policy": """
        id                     integer                   NOT NULL  auto-increment
        retention_days         integer                   NOT NULL  30
        archive_enabled        boolean                   NOT NULL  true
        last_archive_run       timestamp with time zone  NULL      -
        created_at             timestamp with time zone  NOT NULL  now
        updated_at             timestamp with time zone  NOT NULL  now
        downsample_after_days  integer                   NOT NULL  7
        downsample_interval    varchar(20)               NOT NULL  '1 hour'
    """,
    "metrics_rollup": """
        id          bigint                    NOT NULL  auto-increment
        resolution  integer                   NOT NULL  -
        collector   varchar(50)               NOT NULL  -
        start       timestamp with time zone  NOT NULL  -
        data        jsonb                     NOT NULL  -
    """,
}
EXTRA = {"users": {"is_active", "is_staff", "is_superuser"}}  # what Django's auth adds

# The specification also lists ix_metrics_snapshot_id (id). It is left out on purpose: it repeats
# the primary key of the table that is written every few seconds.
INDEXES = {
    "users": """
        users_pkey          id        PRIMARY KEY
        users_username_key  username  UNIQUE
        ix_users_id         id        -
        ix_users_username   username  -
    """,
    "metrics_snapshot": """
        metrics_snapshot_pkey          id                      PRIMARY KEY
        ix_metrics_snapshot_timestamp  timestamp               -
        idx_metrics_type_timestamp     metric_type, timestamp  -
    """,
    "config": """
        config_pkey  key  PRIMARY KEY
    """,
    "archive_policy": """
        archive_policy_pkey  id  PRIMARY KEY
    """,
    "metrics_rollup": """
        metrics_rollup_pkey  id                            PRIMARY KEY
        uq_metrics_rollup    resolution, collector, start  UNIQUE
    """,
}
TABLES = sorted(COLUMNS)


def rows(text):
    """The lines of a table written with at least two blanks between its columns."""
    return [tuple(re.split(r"\s{2,}", line.strip())) for line in text.strip().splitlines()]


def ask(query, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("this reads the catalogue of PostgreSQL")


@pytest.fixture
def sqlite():
    if connection.vendor != "sqlite":
        pytest.skip("this reads the catalogue of SQLite")


def meaning(default):
    """What a default does, however the database writes it down."""
    if default is None:
        return "-"
    text = default.partition("::")[0].lower()
    return "now" if text in ("now()", "current_timestamp") else text


def postgresql_columns(table):
    found = ask(
        "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default,"
        " is_identity FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position",
        table,
    )
    for name, data_type, length, nullable, default, identity in found:
        written = f"varchar({length})" if data_type == "character varying" else data_type
        filled = "auto-increment" if identity == "YES" else meaning(default)
        yield name, written, "NULL" if nullable == "YES" else "NOT NULL", filled


def postgresql_indexes(table):
    found = ask(
        "SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisunique,"
        " i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = %s::regclass",
        table,
    )
    for name, definition, primary, unique, plain in found:
        assert plain, f"{name} is partial, invalid or on an expression"
        method, columns = re.search(r"USING (\w+) \((.*)\)$", definition).groups()
        assert method == "btree"
        kind = "PRIMARY KEY" if primary else "UNIQUE" if unique else "-"
        yield name, columns.replace('"', ""), kind


@pytest.mark.parametrize("table", TABLES)
def test_postgresql_has_exactly_the_columns_of_the_specification(postgresql, table):
    assert sorted(postgresql_columns(table)) == sorted(rows(COLUMNS[table]))


@pytest.mark.parametrize("table", TABLES)
def test_postgresql_has_exactly_the_indexes_of_the_specification(postgresql, table):
    assert sorted(postgresql_indexes(table)) == sorted(rows(INDEXES[table]))


def test_a_column_that_the_specification_does_not_know_has_a_default():
    for table, names in EXTRA.items():
        filled = {name: default for name, _, _, default in rows(COLUMNS[table])}
        assert all(filled[name] != "-" for name in names)


@pytest.mark.parametrize("table", TABLES)
def test_postgresql_has_no_constraints_but_keys(postgresql, table):
    # n: PostgreSQL 18 also lists NOT NULL here.
    query = "SELECT contype::text, conname FROM pg_constraint WHERE conrelid = %s::regclass"
    found = {row for row in ask(query, table) if row[0] != "n"}
    kinds = {"PRIMARY KEY": "p", "UNIQUE": "u"}
    assert found == {(kinds[kind], name) for name, _, kind in rows(INDEXES[table]) if kind in kinds}


@pytest.mark.parametrize("table", TABLES)
def test_sqlite_has_the_columns_nulls_and_defaults_of_the_specification(sqlite, table):
    booleans = {"0": "false", "1": "true"}
    found = set()
    for _, name, data_type, not_null, default, _ in ask(f"PRAGMA table_info({table})"):
        filled = meaning(default)
        filled = booleans.get(filled, filled) if data_type == "bool" else filled
        found.add((name, "NOT NULL" if not_null else "NULL", filled))
    expected = {
        (name, null, default.replace("auto-increment", "-"))
        for name, _, null, default in rows(COLUMNS[table])
    }
    assert found == expected


@pytest.mark.parametrize("table", TABLES)
def test_sqlite_has_the_indexes_of_the_specification(sqlite, table):
    found = set()
    for _, name, unique, origin, partial in ask(f"PRAGMA index_list({table})"):
        assert not partial
        columns = ", ".join(column for _, _, column in ask(f'PRAGMA index_info("{name}")'))
        if origin != "pk":  # an integer key is the row id and has no index of its own
            # SQLite forgets the name of a UNIQUE constraint's index.
            found.add(("-" if unique else name, columns))
    assert found == {
        ("-" if kind == "UNIQUE" else name, columns)
        for name, columns, kind in rows(INDEXES[table])
        if kind != "PRIMARY KEY"
    }


@pytest.mark.parametrize("table", TABLES)
def test_sqlite_has_no_foreign_keys_in_the_tables(sqlite, table):
    assert ask(f"PRAGMA foreign_key_list({table})") == []


def test_the_models_need_no_further_migration():
    call_command("makemigrations", "metrics", "accounts", check=True, dry_run=True, verbosity=0)
