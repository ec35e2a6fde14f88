"""The file that says which process serves, locked as long as that process lives."""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple


class Holder(NamedTuple):
    """The PerfWatch that runs; process 0 while it has not yet written its number."""

    process: int
    url: str


class AlreadyRunningError(Exception):
    """Another process holds the file; the text says which."""


def take(pid_file: Path, url: str) -> int:
    """Lock the file for the life of this process and return its descriptor.

    Raises AlreadyRunningError where another process has the lock.
    """
    while True:
        lock = os.open(pid_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file between our open and our lock.
            if pid_file.stat().st_ino == os.fstat(lock).st_ino:
                break
        except BlockingIOError:
            holder = read(pid_file)
            os.close(lock)
            raise AlreadyRunningError(
                f"PerfWatch is already running at {holder.url} (process {holder.process})."
            ) from None
        except FileNotFoundError:
            pass
        os.close(lock)
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n{url}\n".encode())
    return lock


def running(pid_file: Path) -> Holder | None:
    """Return who holds the file, None where nobody does."""
    try:
        with pid_file.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return read(pid_file)
    return None


def read(pid_file: Path) -> Holder:
    """Return what the file says, which is true only while it is locked."""
    try:
        process, _, url = pid_file.read_text().partition("\n")
    except FileNotFoundError:
        return Holder(0, "")
    return Holder(int(process or 0), url.strip())
