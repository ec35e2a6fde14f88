"""Keeps PerfWatch's processes running, and takes all of them along when it ends.

`manage.py serve` prepares and then becomes this program, whose only argument is the JSON of a
`Plan`. It imports little: without Django it needs 12 MB where the command needs 60.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
START_LIMIT = 30.0
LONGEST_BACK_OFF = 10  # sampling is to go on within 15 s
CALM_AFTER = 60.0
PR_SET_PDEATHSIG = 1  # prctl(2)
LIBC = ctypes.CDLL(None)


class Plan(NamedTuple):
    """What to run, where its web server answers, and what to tell people."""

    programs: dict[str, list[str]]
    host: str
    port: int
    host_header: str
    url: str
    pid_file: str
    patience: float = 5.0


def die_with_parent(death_signal: int = signal.SIGTERM) -> Callable[[], None]:
    """Return a preexec_fn after which the kernel signals the child when this process dies.

    The thread that forks must live as long as the process: the kernel means the thread.
    """
    parent = os.getpid()

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        LIBC.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before prctl could tell the kernel
            os._exit(1)

    return prepare


class Child:
    """One program, started again whenever it ends."""

    def __init__(self, name: str, command: list[str]) -> None:
        """Describe the child; `keep` starts it."""
        self.name = name
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.started = self.start_at = 0.0
        self.crashes = 0

    def keep(self, now: float) -> None:
        """Start the program if its time has come; notice if it has ended."""
        if self.process is None:
            if now >= self.start_at:
                self._start(now)
            return
        pid, status = self.process.pid, self.ended()
        if status is None:
            return
        how = f"exit status {status}" if status >= 0 else f"signal {-status}"
        self._again(now, f"(process {pid}) ended with {how}")

    def ended(self) -> int | None:
        """Return the exit status once the program has ended, None while it runs.

        Before its process id is given back, what is left of its group is killed: a worker
        without master still holds the port.
        """
        if self.process is None:
            return 0
        pid = self.process.pid
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self.send_group(signal.SIGKILL)
        status = self.process.wait()
        self.process = None
        return status

    def send_group(self, number: int) -> None:
        """Signal the program and all that it started."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def _start(self, now: float) -> None:
        self.started = now
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509  there are no threads here
            )
        except OSError as error:
            self._again(now, f"cannot be started: {error}")

    def _again(self, now: float, what: str) -> None:
        if now - self.started >= CALM_AFTER:
            self.crashes = 0
        wait = min(2 ** min(self.crashes, 5), LONGEST_BACK_OFF)
        self.crashes += 1
        self.start_at = now + wait
        log("ERROR", f"{self.name} {what}; it is started again in {wait} s.")


def log(level: str, text: str) -> None:
    """Write one line in the shape of the other processes' lines."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    _write(2, f"{stamp},{int(now % 1 * 1000):03d} {level} perfwatch.supervisor: {text}\n")


def say(text: str) -> None:
    """Tell people."""
    _write(1, f"{text}\n")


def _write(descriptor: int, text: str) -> None:
    # A reader that went away (`make run | head`) or a disk that is full is no reason to stop.
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode(errors="backslashreplace"))


def answers(plan: Plan) -> bool:
    """Whether the web server says 200 to /healthz."""
    request = f"GET /healthz HTTP/1.0\r\nHost: {plan.host_header}\r\n\r\n"
    try:
        with socket.create_connection((plan.host, plan.port), timeout=1) as connection:
            connection.sendall(request.encode())
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def supervise(children: list[Child], plan: Plan, watched: set[signal.Signals]) -> None:
    """Keep all children running until a signal to stop comes."""
    deadline = time.monotonic() + START_LIMIT
    announced = late = False
    while True:
        now = time.monotonic()
        for child in children:
            child.keep(now)
        if not announced and answers(plan):
            say(f"PerfWatch is running at {plan.url} — press Ctrl-C to stop.")
            announced = True
        if not announced and not late and now > deadline:
            log("ERROR", f"the pages do not answer at {plan.url}; the lines above say why.")
            late = True
        waits = [child.start_at - now for child in children if child.process is None]
        waits.append(3600.0 if announced else 0.1)  # SIGCHLD wakes us earlier
        received = signal.sigtimedwait(watched, max(0.0, min(waits)))
        if received and received.si_signo in STOP_SIGNALS:
            return


def stop(children: list[Child], patience: float, watched: set[signal.Signals]) -> None:
    """End all children; after `patience` seconds, or at Ctrl-C, by force."""
    for child in children:
        if child.process:
            child.process.terminate()
    deadline = time.monotonic() + patience
    while running := [child for child in children if child.ended() is None]:
        received = signal.sigtimedwait(watched, max(0.0, deadline - time.monotonic()))
        if time.monotonic() >= deadline or (received and received.si_signo == signal.SIGINT):
            for child in running:
                log("WARNING", f"{child.name} did not end by itself and is killed.")
                child.send_group(signal.SIGKILL)
            deadline = time.monotonic() + patience


def main(plan: Plan) -> None:
    """Run the plan until a signal ends it; then nothing of it is left."""
    watched = STOP_SIGNALS | {signal.SIGCHLD}
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup
        watched.remove(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    children = [Child(name, command) for name, command in plan.programs.items()]
    try:
        supervise(children, plan, watched)
    finally:
        stop(children, plan.patience, watched)
        Path(plan.pid_file).unlink(missing_ok=True)
    say("PerfWatch has stopped.")


if __name__ == "__main__":
    main(Plan(**json.loads(sys.argv[1])))
