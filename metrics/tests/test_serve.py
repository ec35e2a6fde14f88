"""`manage.py serve`: what it refuses, what it starts and where the first password goes."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from django.conf import settings as project
from django.core.management import CommandError, call_command

from accounts.first_admin import FirstAdmin
from metrics.management.commands import serve
from metrics.pid_file import take
from perfwatch_site.tests.workplace import free_port, port_answers, wait_for


@pytest.fixture
def data_dir(tmp_path, settings):
    settings.PERFWATCH_DATA_DIR = tmp_path
    return tmp_path


def test_a_second_start_is_refused(data_dir):
    lock = take(data_dir / "perfwatch.pid", "http://127.0.0.1:8000")
    with pytest.raises(CommandError, match=r"already running at http://127\.0\.0\.1:8000 \(proc"):
        call_command("serve")
    os.close(lock)


@pytest.mark.parametrize("options", [[], ["--stop"]])
def test_a_pid_file_that_cannot_be_used_is_named(data_dir, options):
    path = data_dir / "perfwatch.pid"
    path.mkdir()  # root, too, can not open it
    with pytest.raises(CommandError, match=f"^Cannot use {path}: Is a directory. Run .* delete"):
        call_command("serve", *options)


def test_control_c_while_it_prepares_ends_it_quietly(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgres://me@127.0.0.1:{silent.getsockname()[1]}/perfwatch?connect_timeout=60"
        own = {"PERFWATCH_DATA_DIR": str(tmp_path), "PERFWATCH_PORT": str(free_port())}
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=project.BASE_DIR,
            env=os.environ | own | {"DATABASE_URL": url},
            stderr=subprocess.PIPE,
        )
        silent.settimeout(20)
        kept, _ = silent.accept()  # a connection that nobody keeps is closed at once
        with kept:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, b"")
    assert not (tmp_path / "perfwatch.pid").exists()


def test_a_port_in_use_is_said_before_anything_is_changed(data_dir, settings):
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.PERFWATCH_PORT = server.getsockname()[1]
        with pytest.raises(CommandError, match=r"127\.0\.0\.1:\d+ is in use by another program"):
            call_command("serve")
    assert list(data_dir.iterdir()) == []


def test_an_address_of_another_host_names_the_setting():
    with pytest.raises(CommandError, match=r"Cannot listen on 192\.0\.2\.1:8000 \(PERFWATCH_HOST"):
        serve.check_port("192.0.2.1", 8000)


def test_stopping_what_does_not_run_is_no_error(data_dir, capsys):
    call_command("serve", "--stop")
    assert capsys.readouterr().out == "PerfWatch is not running.\n"


def test_without_redis_web_and_sampler_run(settings):
    settings.REDIS_URL = ""
    assert list(serve.programs()) == ["web", "sampler"]


def test_with_redis_beat_and_worker_run_too(settings):
    settings.REDIS_URL = "redis://127.0.0.1/0"
    assert list(serve.programs()) == ["web", "sampler", "beat", "worker"]


def test_what_needs_redis_is_refused_alone_without_it(settings):
    settings.REDIS_URL = ""
    with pytest.raises(CommandError, match="beat is a process of its own only with REDIS_URL"):
        call_command("serve", "--only", "beat")


def test_the_pages_alone_are_one_process_that_prepared_the_database(processes):
    port = free_port()
    processes.environment["PERFWATCH_PORT"] = str(port)
    process = processes.start("manage.py", "serve", "--only", "web")
    assert wait_for(lambda: port_answers(port)), processes.log.read_text()
    assert "gunicorn" in psutil.Process(process.pid).cmdline()
    assert psutil.Process(process.pid).environ()["MALLOC_ARENA_MAX"] == "1"
    assert not (processes.directory / "data" / "perfwatch.pid").exists()
    process.terminate()
    assert process.wait(10) == 0


def test_while_nobody_asks_the_pages_sleep_for_seconds(processes):
    port = free_port()
    processes.environment["PERFWATCH_PORT"] = str(port)
    master = psutil.Process(processes.start("manage.py", "serve", "--only", "web").pid)
    assert wait_for(lambda: port_answers(port)), processes.log.read_text()

    time.sleep(2)  # they have just started, and been asked
    everybody = [master, *master.children()]
    assert len(everybody) == 3
    before = [one.num_ctx_switches().voluntary for one in everybody]
    time.sleep(4)
    after = [one.num_ctx_switches().voluntary for one in everybody]
    assert max(map(int.__sub__, after, before)) <= 2


def test_an_ipv6_address_is_bound_in_brackets(settings):
    settings.PERFWATCH_HOST = "::1"
    assert "[::1]:8000" in serve.gunicorn_options()


@pytest.mark.parametrize(
    ("allowed", "base_url", "wanted"),
    [
        (["localhost", "127.0.0.1"], "", "127.0.0.1"),
        (["*"], "", "127.0.0.1"),
        ([".example.org"], "", "example.org"),
        (["other", "perf.example.org"], "https://perf.example.org", "perf.example.org"),
    ],
)
def test_our_own_question_uses_an_allowed_host(settings, allowed, base_url, wanted):
    settings.ALLOWED_HOSTS, settings.PERFWATCH_BASE_URL = allowed, base_url
    assert serve.host_header("127.0.0.1") == wanted


def test_without_a_terminal_the_password_goes_to_a_private_file(tmp_path, capsys, caplog):
    with caplog.at_level("INFO", logger="perfwatch.serve"):
        serve.hand_over(FirstAdmin("admin", "generated", generated=True), tmp_path)
    path = tmp_path / "initial-admin-password"
    assert path.read_text() == "generated\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in caplog.text
    assert "generated" not in caplog.text + capsys.readouterr().out


def test_on_a_terminal_the_password_is_shown_and_not_stored(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    serve.hand_over(FirstAdmin("admin", "generated", generated=True), tmp_path)
    assert "Log in as admin with the password generated" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_given_password_is_never_shown(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    serve.hand_over(FirstAdmin("admin", "given", generated=False), tmp_path)
    assert "given" not in caplog.text + capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
