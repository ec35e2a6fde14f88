"""The plugin itself: each test runs a pytest of its own with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfwatch_site.tests import servers
from perfwatch_site.tests.workplace import wait_for

CHECKOUT = Path(__file__).resolve().parents[2]
WAITS = """
import os, pathlib, time
def test_waits(redis_url):
    pathlib.Path("folder").write_text(os.environ["PERFWATCH_DATA_DIR"])
    if pathlib.Path("stay").exists():
        time.sleep(600)
"""


def pytest_command(test_file, *options):
    configuration = ["-c", str(CHECKOUT / "pyproject.toml"), "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", *configuration, *options, str(test_file)]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), "TEST_DATABASE_URL": "", **more}


def run(tmp_path, code, *options, **more):
    (tmp_path / "test_inner.py").write_text(code)
    command = pytest_command(tmp_path / "test_inner.py", *options)
    return subprocess.run(
        command, cwd=tmp_path, env=environment(**more), capture_output=True, text=True, check=False
    )


def using(folder):
    """Names of living processes that run in the folder or name it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line, place = (entry / "cmdline").read_bytes(), (entry / "cwd").readlink()
            if os.fsencode(folder) in line or place.is_relative_to(folder):
                found.append((entry / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


@pytest.fixture
def waiting(tmp_path):
    (tmp_path / "stay").touch()
    (tmp_path / "test_waits.py").write_text(WAITS)
    command = pytest_command(tmp_path / "test_waits.py", "--database", "postgresql")
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    ) as process:
        written = tmp_path / "folder"
        assert wait_for(lambda: process.poll() is not None or written.exists())
        assert wait_for(lambda: process.poll() is not None or written.read_text())
        yield process, Path(written.read_text()).parent
        process.kill()


def test_kill_9_leaves_neither_servers_nor_files(waiting):
    process, folder = waiting
    assert {"postgres", "redis-server"} <= set(using(folder))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_for(lambda: not using(folder) and not folder.exists(), limit=10)


def test_an_ordinary_end_leaves_neither_servers_nor_files(tmp_path):
    assert run(tmp_path, WAITS, "--database", "postgresql").returncode == 0
    folder = Path((tmp_path / "folder").read_text()).parent
    assert not folder.exists()
    assert not using(folder)


def test_the_developers_environment_does_not_reach_the_suite(tmp_path):
    (tmp_path / "key").write_text("developer")
    code = """
import os
from django.conf import settings
def test_settings():
    assert settings.PERFWATCH_PORT == 8000
    assert settings.SECRET_KEY != "developer"
    assert settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    assert settings.REDIS_URL == "" and settings.DEBUG is False
    assert "perfwatch-tests-" in str(settings.PERFWATCH_DATA_DIR)
"""
    done = run(
        tmp_path,
        code,
        PERFWATCH_PORT="99",
        PERFWATCH_DATA_DIR=str(tmp_path),
        SECRET_KEY_FILE=str(tmp_path / "key"),
        DATABASE_URL="postgres://developer@127.0.0.1/live",
        REDIS_URL="redis://127.0.0.1/0",
    )
    assert done.returncode == 0, done.stdout
    assert "database: SQLite" in done.stdout


def test_a_given_postgresql_is_used_and_not_printed(tmp_path):
    code = """
from django.conf import settings
def test_settings():
    assert settings.DATABASES["default"]["NAME"] == "given"
"""
    url = "postgres://someone:secret@127.0.0.1:1/given"
    done = run(tmp_path, code, "--database", "postgresql", TEST_DATABASE_URL=url)
    assert done.returncode == 0, done.stdout
    assert "database: PostgreSQL of TEST_DATABASE_URL" in done.stdout
    assert "secret" not in done.stdout


def test_ci_does_not_accept_a_missing_program(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        servers.missing("no Chromium")


def test_elsewhere_a_missing_program_skips_with_its_reason(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        servers.missing("no Chromium")
