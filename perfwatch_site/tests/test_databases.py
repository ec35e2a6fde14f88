"""What a connection does first."""

import sqlite3
from contextlib import closing

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
