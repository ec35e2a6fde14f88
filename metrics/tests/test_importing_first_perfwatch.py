"""The first PerfWatch: rows of collectors joined and mapped, people with their passwords."""

import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import bcrypt
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from metrics import rebuild
from metrics.collectors import lookup
from metrics.models import MetricsSnapshot
from metrics.tests.builders import stored

START = datetime(2026, 1, 21, 10, 30, tzinfo=UTC)
PARTS = {
    "cpu": {
        "usage_percent": 45.2,
        "per_core": [40.0, 50.0],
        "user": 30.5,
        "system": 10.2,
        "idle": 54.8,
        "iowait": None,
        "frequency_mhz": [2400.0, 2600.0],
        "load_avg": [1.5, 1.3, 1.2],
        "temperature": 65.0,
        "core_count": 2,
        "physical_cores": 1,
    },
    "memory": {
        "total_bytes": 16_000,
        "available_bytes": 9_000,
        "used_bytes": 5_000,
        "usage_percent": 43.8,
        "swap_percent": 0.0,
    },
    "network": {
        "bytes_sent_per_sec": 10.5,
        "bytes_recv_per_sec": 20.0,
        "total_bytes_sent": 99,
        "errors_in": 9,
        "interfaces": [
            {"name": "eth0", "bytes_sent": 1, "bytes_recv": 2, "errors_in": 3, "drops_out": 4},
            {"name": "docker0", "bytes_sent": 50, "bytes_recv": 60},
        ],
        "connection_count": -1,
    },
    "disk": {
        "partitions": [
            {"device": "/dev/vda", "mountpoint": "/", "fstype": "ext4", "total_bytes": 100}
            | {"used_bytes": 40, "free_bytes": 60, "usage_percent": 40.0}
        ],
        "io": {"read_bytes_per_sec": 5.0, "read_bytes": 7, "read_time_ms": 3},
    },
    "perf_events": {"available": True, "cycles": 5, "instructions": 9, "ipc": 1.8},
    "memory_bandwidth": {"available": True, "pgpgin_per_sec": 100.0, "pgfault_per_sec": 200.0},
}
EXPECTED = {
    "cpu.usage_percent": 45.2,
    "cpu.user_percent": 30.5,
    "cpu.iowait_percent": None,
    "cpu.per_core.1": 50.0,
    "cpu.frequency_mhz": 2500.0,
    "cpu.load_avg_15m": 1.2,
    "cpu.temperature_celsius": 65.0,
    "cpu.core_count": 2,
    "memory.used_bytes": 7_000,
    "memory.percent": 43.8,
    "network.bytes_sent_per_sec": 10.5,
    "network.bytes_sent": 1,
    "network.errin": 3,
    "network.dropout": 4,
    "network.interfaces.docker0.bytes_recv": 60,
    "disk.read_bytes": 7,
    "disk.read_bytes_per_sec": 5.0,
    "disk.partitions./.percent": 40.0,
    "disk.partitions./.fstype": "ext4",
    "perf_events.ipc": None,
    "memory_bandwidth.pgfault_per_sec": 200.0,
    "sampler.source": None,
}


TABLES = (
    "CREATE TABLE users (id {key}, username varchar(50), password_hash varchar(255),"
    " created_at {time}, last_login {time})",
    "CREATE TABLE metrics_snapshot (id {key}, timestamp {time}, metric_type varchar(50),"
    " metric_data {json})",
    "CREATE TABLE config (key varchar(100) PRIMARY KEY, value {json}, updated_at {time})",
    "INSERT INTO config (key, value) VALUES ('sampling', '{{\"interval_seconds\": 10}}')",
)


class First:
    """A database as the first PerfWatch made it, of the kind that the test itself uses."""

    def __init__(self, path):
        settings = connection.settings_dict
        self.path = path
        self.url = f"sqlite:///{path}"
        types = {"key": "integer PRIMARY KEY", "time": "text", "json": "text"}
        if connection.vendor == "postgresql":
            self.name = f"{settings['NAME']}_first"
            self.administer(f'CREATE DATABASE "{self.name}"')
            login = f"{settings['USER']}:{settings['PASSWORD']}"
            place = f"{settings['HOST']}:{settings['PORT']}/{self.name}"
            self.own = self.url = f"postgresql+asyncpg://{login}@{place}"
            types = {"key": "serial PRIMARY KEY", "time": "timestamptz", "json": "jsonb"}
        for table in TABLES:
            self.run(table.format(**types))

    def run(self, statement, *values):
        if connection.vendor == "postgresql":
            url = self.own.replace("+asyncpg", "")
            with psycopg.connect(url, autocommit=True) as other:
                other.execute(statement, values or None)
            return
        with sqlite3.connect(self.path) as other:
            other.execute(statement.replace("%s", "?"), values)
        other.close()

    def administer(self, statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def close(self):
        if connection.vendor == "postgresql":
            self.administer(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def sample(self, at=START, **parts):
        for kind, data in (parts or PARTS).items():
            self.run(
                "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
                " VALUES (%s, %s, %s)",
                *(at.isoformat(" "), kind, json.dumps(data)),
            )

    def user(self, name, password_hash):
        self.run(
            "INSERT INTO users (username, password_hash, created_at) VALUES (%s, %s, %s)",
            *(name, password_hash, START.isoformat(" ")),
        )


@pytest.fixture
def quick(cpu_alone, monkeypatch):
    monkeypatch.setitem(rebuild.REST_SECONDS, "sqlite", 0)


@pytest.fixture
def first(tmp_path, transactional_db, installed, quick, django_db_blocker):
    with django_db_blocker.unblock():  # other databases are forbidden else
        found = First(tmp_path / "first.sqlite3")
        yield found
        found.close()


def backfill(first, *options):
    output = io.StringIO()
    call_command("backfill", "perfwatch", first.url, *options, stdout=output, stderr=output)
    return output.getvalue()


def test_rows_of_one_moment_become_one_document(first):
    first.sample()
    assert "Imported 1 rows" in backfill(first)
    [row] = MetricsSnapshot.objects.all()
    assert (row.timestamp, row.metric_type) == (START, "aggregated")
    assert {name: lookup(row.metric_data, name) for name in EXPECTED} == EXPECTED
    sampler = row.metric_data["sampler"]
    assert (sampler["source"], sampler["interval_seconds"]) == ("perfwatch", 10)
    assert sampler["status"]["cpu"] == "ok"
    assert sampler["status"]["perf_events"].startswith("no data")


def test_the_interval_is_the_time_that_passed_but_for_gaps(first):
    for seconds in (0, 10, 21, 600):
        first.sample(START + timedelta(seconds=seconds), cpu=PARTS["cpu"])
    backfill(first)
    rows = MetricsSnapshot.objects.order_by("timestamp")
    assert [row.metric_data["sampler"]["interval_seconds"] for row in rows] == [10, 10, 11, 10]


def test_pages_do_not_divide_a_sample(first, monkeypatch):
    monkeypatch.setattr("metrics.importing.first_perfwatch.PAGE", 8)
    for seconds in range(0, 100, 10):
        first.sample(START + timedelta(seconds=seconds))
    assert "Imported 10 rows" in backfill(first)
    assert all(row.metric_data["memory"]["percent"] for row in MetricsSnapshot.objects.all())
    assert "10 rows were stored already" in backfill(first)


def test_rows_in_the_form_of_the_schema_are_read_too(first):
    first.sample(aggregated={"cpu": {"usage_percent": 12.5, "load_avg_1m": 2.0}})
    first.sample(START + timedelta(seconds=10), own={"x": 1})
    backfill(first)
    [row] = MetricsSnapshot.objects.all()
    assert lookup(row.metric_data, "cpu.load_avg_1m") == 2.0


def test_what_perfwatch_has_sampled_itself_is_left_out(first):
    first.sample()
    stored(START - timedelta(seconds=2))
    assert "1 rows were left out because PerfWatch has samples of its own" in backfill(first)


def test_what_is_bad_is_named_by_row_and_field(first):
    first.sample()
    first.sample(START + timedelta(seconds=10), cpu={"usage_percent": "high"})
    with pytest.raises(CommandError, match=r"row 7, cpu\.usage_percent: a number is expected"):
        backfill(first)
    assert not MetricsSnapshot.objects.exists()
    assert "Imported 1 rows" in backfill(first, "--skip-bad")


def test_people_come_as_viewers_with_their_passwords_if_asked_for(first, viewer):
    password_hash = bcrypt.hashpw(b"admin123 and more", bcrypt.gensalt(10)).decode()
    first.user("admin", password_hash)
    first.user(viewer.username, password_hash)
    backfill(first)
    assert User.objects.count() == 1
    assert "People: admin." in backfill(first, "--with-users")
    admin = User.objects.get(username="admin")
    assert admin.check_password("admin123 and more")
    assert not admin.is_superuser
    assert admin.created_at == START
    assert not User.objects.get(username=viewer.username).check_password("admin123 and more")
    assert "nobody who is not known already" in backfill(first, "--with-users")


@pytest.mark.parametrize(
    ("name", "password_hash", "sentence"),
    [
        ("admin", "plain", "users, password_hash: that of admin is no bcrypt hash"),
        ("admin", "$2b$04$" + "a" * 53, "is no bcrypt hash of a cost from 10 on"),
        ("x y", "$2b$12$" + "a" * 53, "users, username: "),
    ],
)
def test_people_that_cannot_be_taken_stop_it_before_anything(first, name, password_hash, sentence):
    first.sample()
    first.user(name, password_hash)
    with pytest.raises(CommandError) as error:
        backfill(first, "--with-users")
    assert sentence in str(error.value)
    assert not MetricsSnapshot.objects.exists()


def test_a_database_without_its_tables_is_said_in_one_line(first, tmp_path):
    first.url = f"sqlite:///{tmp_path}/empty.sqlite3"
    with pytest.raises(CommandError) as error:
        backfill(first)
    assert "no such table" in str(error.value)
    first.url = "nonsense"
    with pytest.raises(CommandError, match="DATABASE_URL must be like postgres://"):
        backfill(first)
