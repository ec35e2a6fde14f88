"""The supervisor, with small programs in the place of PerfWatch's."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from metrics.supervisor import Plan
from perfwatch_site.tests.workplace import free_port, start_server, wait_for

SUPERVISOR = [sys.executable, "-m", "metrics.supervisor"]
CHECKOUT = Path(__file__).resolve().parents[2]
SLEEPS = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(600)"
WITH_A_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[2], 'x'])"
CRASHES_ONCE = """
import os, sys, time
try: os.mkdir(sys.argv[1] + "/crashed")
except FileExistsError: time.sleep(600)
sys.exit(3)
"""
ANSWERS = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.path == "/healthz" and self.headers["Host"] == "perfwatch.example.org"
        ready = asked and os.path.exists(sys.argv[1] + "/ready")
        self.send_response(200 if ready else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a folder with spaces"
    path.mkdir()
    return path


@pytest.fixture
def supervise(folder):
    started = []

    def start(port=1, patience=5.0, **programs):
        plan = Plan(
            programs={
                name: [sys.executable, "-u", "-c", code, str(folder), *more]
                for name, (code, *more) in programs.items()
            },
            host="127.0.0.1",
            port=port,
            host_header="perfwatch.example.org",
            url="https://perfwatch.example.org",
            pid_file=str(folder / "perfwatch.pid"),
            patience=patience,
        )
        (folder / "perfwatch.pid").write_text("123\n")
        supervisor = start_server(
            [*SUPERVISOR, json.dumps(plan._asdict())],
            log=folder / "log",
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.kill()
        supervisor.wait()


def children(folder):
    """Process ids of the programs, which all have the folder or an `x` beside it as argument."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(folder) in words and state != "Z":
            found.append(int(entry.name))
    return found


def log_of(folder):
    return (folder / "log").read_text()


def test_a_crashed_program_is_started_again_and_logged_in_one_line(folder, supervise):
    supervise(unlucky=(CRASHES_ONCE,), calm=(SLEEPS,))
    assert wait_for((folder / "crashed").exists)
    assert wait_for(lambda: len(children(folder)) == 2)
    assert wait_for(lambda: "unlucky" in log_of(folder))
    (line,) = log_of(folder).splitlines()
    assert " ERROR perfwatch.supervisor: unlucky (process " in line
    assert line.endswith(") ended with exit status 3; it is started again in 1 s.")


def test_the_wait_before_a_start_doubles(folder, supervise):
    supervise(broken=("raise SystemExit(1)",))
    assert wait_for(lambda: len(log_of(folder).splitlines()) >= 3)
    waits = [line.split(" in ")[1] for line in log_of(folder).splitlines()[:3]]
    assert waits == ["1 s.", "2 s.", "4 s."]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_with_status_0(folder, supervise, number):
    supervisor = supervise(one=(SLEEPS,), two=(SLEEPS,))
    assert wait_for(lambda: len(children(folder)) == 2)
    supervisor.send_signal(number)
    assert supervisor.wait(5) == 0
    assert children(folder) == []
    assert not (folder / "perfwatch.pid").exists()
    assert log_of(folder) == "PerfWatch has stopped.\n"


def test_what_does_not_end_is_killed_with_all_that_it_started(folder, supervise):
    grandchild = f"import sys; sys.argv[1] = {str(folder)!r}; {DEAF}"
    code = WITH_A_CHILD.replace("'x'", "sys.argv[1]")
    deaf = f"import signal; signal.signal(15, signal.SIG_IGN)\n{code}"
    supervisor = supervise(deaf=(deaf, grandchild), patience=0.3)
    assert wait_for(lambda: "deaf\n" in log_of(folder))
    assert len(children(folder)) == 2
    supervisor.terminate()
    assert supervisor.wait(5) == 0
    assert children(folder) == []
    assert "deaf did not end by itself and is killed." in log_of(folder)


def test_a_second_ctrl_c_does_not_wait(folder, supervise):
    supervisor = supervise(deaf=(DEAF,), patience=600)
    assert wait_for(lambda: "deaf\n" in log_of(folder))
    supervisor.send_signal(signal.SIGINT)
    # A signal that is still pending would swallow a second one of the same number.
    pending = Path(f"/proc/{supervisor.pid}/status")
    assert wait_for(lambda: "ShdPnd:\t0000000000000000" in pending.read_text())
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(5) == 0
    assert children(folder) == []


def test_kill_9_of_the_supervisor_leaves_nothing(folder, supervise):
    supervisor = supervise(one=(SLEEPS,), two=(SLEEPS,))
    assert wait_for(lambda: len(children(folder)) == 2)
    supervisor.kill()
    supervisor.wait()
    assert wait_for(lambda: not children(folder), limit=5)


def test_what_a_crashed_program_started_is_killed_before_the_next_start(folder, supervise):
    grandchild = f"import sys; sys.argv[1] = {str(folder)!r}; {SLEEPS}"
    supervise(web=(WITH_A_CHILD.replace("'x'", "sys.argv[1]"), grandchild))
    assert wait_for(lambda: len(children(folder)) == 2)
    before = set(children(folder))
    os.kill(min(before), signal.SIGKILL)
    assert wait_for(lambda: "ended with signal 9" in log_of(folder))
    # The kernel takes a moment to end what was killed; the next start is a second away.
    assert wait_for(lambda: not before & set(children(folder)), limit=0.9)


def test_running_is_announced_once_the_web_server_is_healthy(folder, supervise):
    port = free_port()
    supervise(port=port, web=(ANSWERS, str(port)))

    def asked():
        return '"GET /healthz HTTP/1.0" 503' in log_of(folder)

    assert wait_for(asked)
    assert "running" not in log_of(folder)
    (folder / "ready").touch()
    line = "PerfWatch is running at https://perfwatch.example.org — press Ctrl-C to stop."
    assert wait_for(lambda: line in log_of(folder).splitlines())


def test_a_reader_that_went_away_is_no_reason_to_stop(folder, supervise):
    port = free_port()
    (folder / "ready").touch()
    reader, writer = socket.socketpair()
    plan = Plan(
        {"web": [sys.executable, "-c", ANSWERS, str(folder), str(port)]},
        "127.0.0.1",
        port,
        "perfwatch.example.org",
        "",
        str(folder / "pid"),
    )
    reader.close()
    with subprocess.Popen(
        [*SUPERVISOR, json.dumps(plan._asdict())], stdout=writer, stderr=subprocess.PIPE
    ) as supervisor:
        lines = iter(supervisor.stderr.readline, b"")
        assert any(b"200" in line for line in lines)
        supervisor.terminate()
        assert supervisor.wait(5) == 0
    writer.close()


def test_a_disk_that_is_full_of_log_is_no_reason_to_stop(folder):
    programs = {"unlucky": [sys.executable, "-c", CRASHES_ONCE, str(folder)]}
    plan = Plan(programs, "127.0.0.1", 1, "", "", str(folder / "pid"))
    command = [*SUPERVISOR, json.dumps(plan._asdict())]
    with (
        Path("/dev/full").open("wb") as full,
        subprocess.Popen(command, stdout=full, stderr=full) as supervisor,
    ):
        assert wait_for((folder / "crashed").exists)
        assert wait_for(lambda: not children(folder))
        assert wait_for(lambda: children(folder))
        supervisor.terminate()
        assert supervisor.wait(5) == 0
