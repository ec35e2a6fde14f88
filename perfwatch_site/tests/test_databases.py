"""What a connection does first, and after a query that failed."""

import gc
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from perfwatch_site.databases import prepared


def test_a_new_connection_to_a_file_that_exists_waits_for_no_writer(tmp_path):
    file = tmp_path / "perfwatch.sqlite3"

    def opened():
        described = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": {}}
        options = prepared(described)["OPTIONS"]
        session = sqlite3.connect(file, timeout=0.1, isolation_level=None)
        for command in options["init_command"].split(";"):
            session.execute(command).fetchall()
        return session

    with closing(opened()) as first:
        first.execute("CREATE TABLE one (number)")
        first.execute("BEGIN IMMEDIATE")
        first.execute("INSERT INTO one VALUES (1)")
        with closing(opened()) as second:
            assert second.execute("SELECT count(*) FROM one").fetchone() == (0,)
            assert second.execute("PRAGMA auto_vacuum").fetchone() == (2,)  # incremental


@pytest.mark.django_db
def test_what_a_failed_query_left_is_collected_while_the_next_one_waits(tmp_path):
    """Beat's thread collected it once, and stood still until the lock was gone."""
    file = tmp_path / "perfwatch.sqlite3"
    engine = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 0.05}}
    databases = ConnectionHandler({"default": engine | {"NAME": str(file)}})
    waits, failed = threading.Event(), []

    def refused(milliseconds):
        connection = databases["default"]
        connection.ensure_connection()
        connection.connection.execute(f"PRAGMA busy_timeout = {milliseconds}")
        if milliseconds > 1_000:
            waits.set()
        try:
            connection.cursor().execute("BEGIN IMMEDIATE")
        except OperationalError:
            failed.append(milliseconds)

    def write():
        refused(50)
        refused(2_000)
        databases["default"].close()

    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        gc.collect()
        gc.disable()
        try:
            writer = threading.Thread(target=write)
            writer.start()
            assert waits.wait(10)
            time.sleep(0.3)
            began = time.monotonic()
            gc.collect()
            took = time.monotonic() - began
        finally:
            gc.enable()
            writer.join()
    assert failed == [50, 2_000]
    assert took < 1
