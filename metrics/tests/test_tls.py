"""TLS to PostgreSQL and Redis, asked for by URL alone."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connection

from metrics.tests.processes import ROOT, Processes
from perfwatch_site.tests.tls_servers import Certificates, start_postgresql, start_redis
from perfwatch_site.tests.workplace import Workplace, free_port, stop_server, wait_for


@pytest.fixture(scope="module")
def servers():
    if connection.vendor != "sqlite":
        pytest.skip("servers of their own: tested by the run on SQLite")
    workplace = Workplace()  # the user of the database may walk through it
    try:
        yield from started(workplace.folder)
    finally:
        workplace.close()


def started(folder):
    certificates = Certificates(folder)
    database, database_url = start_postgresql(folder, certificates)
    try:
        broker, broker_url = start_redis(folder, certificates)
        try:
            yield SimpleNamespace(
                certificates=certificates, database=database_url, broker=broker_url
            )
        finally:
            stop_server(broker)
    finally:
        stop_server(database)


def verified(url, ca):
    return f"{url}?sslmode=verify-full&sslrootcert={ca}"


def manage(tmp_path, *arguments, **environment):
    own = {"PERFWATCH_DATA_DIR": str(tmp_path / "data"), "PERFWATCH_PORT": str(free_port())}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        check=False,
        env=os.environ | own | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_with_the_right_ca_samples_arrive_and_every_connection_is_encrypted(servers, tmp_path):
    ca = servers.certificates.ca
    database = verified(servers.database, ca)
    done = manage(tmp_path, "migrate", DATABASE_URL=database)
    assert done.returncode == 0, done.stderr
    broker = f"{servers.broker}?ssl_ca_certs={ca}"
    running = Processes(tmp_path, DATABASE_URL=database, REDIS_URL=broker)
    try:
        running.start_sampling()
        with psycopg.connect(database, autocommit=True) as look:
            arrived = "SELECT count(*) > 1 FROM metrics_snapshot"
            assert wait_for(lambda: look.execute(arrived).fetchone()[0]), running.log.read_text()
            connections = look.execute(
                "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                "WHERE application_name LIKE 'perfwatch%'"
            ).fetchall()
        assert len(connections) >= 2
        assert all(encrypted for (encrypted,) in connections)
    finally:
        running.close()


@pytest.mark.parametrize(
    ("host", "ca", "reason"),
    [
        ("127.0.0.1", "other_ca", "certificate verify failed"),
        ("localhost", "ca", 'does not match host name "localhost"'),
        ("127.0.0.1", None, "root certificate file .* does not exist"),
    ],
)
def test_a_database_that_cannot_be_trusted_is_refused_in_one_line(
    servers, tmp_path, host, ca, reason
):
    path = getattr(servers.certificates, ca) if ca else tmp_path / "missing.crt"
    url = verified(servers.database.replace("127.0.0.1", host), path)
    done = manage(tmp_path, "serve", DATABASE_URL=url)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "DATABASE_URL" in line
    assert re.search(reason, line), line
    assert servers.database.split(":")[2].partition("@")[0] not in line


def test_beat_says_once_a_minute_that_a_broker_cannot_be_trusted(servers, tmp_path):
    broker = f"{servers.broker}?ssl_ca_certs={servers.certificates.other_ca}"
    running = Processes(tmp_path, REDIS_URL=broker)
    try:
        beat = running.start("manage.py", "serve", "--only", "beat")
        said = "CERTIFICATE_VERIFY_FAILED"
        assert wait_for(lambda: running.log.exists() and said in running.log.read_text())
        # It asks again after half a second, one and one and a half.
        assert not wait_for(lambda: running.log.read_text().count(said) > 1, 4)
        assert beat.poll() is None
    finally:
        running.close()


def test_a_broker_that_cannot_be_trusted_is_refused_in_one_line(servers, tmp_path):
    broker = f"{servers.broker}?ssl_ca_certs={servers.certificates.other_ca}"
    running = Processes(tmp_path, REDIS_URL=broker)
    try:
        running.start("manage.py", "sampler")
        failed = "CERTIFICATE_VERIFY_FAILED"
        assert wait_for(lambda: running.log.exists() and failed in running.log.read_text())
        line = next(line for line in running.log.read_text().splitlines() if failed in line)
        assert "rediss://" in line
        assert servers.broker.split(":")[2].partition("@")[0] not in running.log.read_text()
        assert "Traceback" not in running.log.read_text()
    finally:
        running.close()
