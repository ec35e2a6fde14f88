"""A temporary folder with servers for tests; gone when pytest is, also after `kill -9`."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metrics.supervisor import die_with_parent

START_LIMIT = 30.0
STOP_LIMIT = 10.0
# The shell outlives pytest by a moment: its standard input ends when pytest does, however that is.
# Disks that were made in the folder go with it.
KEEPER = """
cat >/dev/null
i=0
while [ -e "$1" ] && [ $i -lt 100 ]; do
    rm -rf -- "$1" 2>/dev/null || { umount -- "$1"/*/ 2>/dev/null; sleep 0.1; }
    i=$((i+1))
done
"""


class Workplace:
    """A temporary folder and the servers that live in it."""

    def __init__(self) -> None:
        """Make the folder, and the process that removes it when this one ends."""
        self.folder = Path(tempfile.mkdtemp(prefix="perfwatch-tests-"))
        self.folder.chmod(0o711)  # `nobody` walks through it to its database
        self.database = "SQLite"
        self._servers: list[subprocess.Popen[bytes]] = []
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "perfwatch-tests-keeper", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def make(self, name: str) -> Path:
        """Make a folder that only its owner can read."""
        path = self.folder / name
        path.mkdir(mode=0o700)
        return path

    def serve(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a server that ends with the workplace."""
        server = start_server(command, **options)
        self._servers.append(server)
        return server

    def close(self) -> None:
        """Stop the servers and remove the folder."""
        for server in reversed(self._servers):
            stop_server(server)
        assert self._keeper.stdin
        self._keeper.stdin.close()
        self._keeper.wait()


def start_server(
    command: list[str],
    *,
    log: Path,
    death_signal: int = signal.SIGTERM,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a child server that the kernel ends when pytest dies; its output goes to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509  it only makes system calls
            **options,
        )


def stop_server(server: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """Stop a server, by force if it takes too long."""
    if server.poll() is None:
        server.send_signal(number)
        try:
            server.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def free_port() -> int:
    """Return a loopback port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], object], limit: float = START_LIMIT) -> bool:
    """Wait until the condition holds; return whether it did within `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def port_answers(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
