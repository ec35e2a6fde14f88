"""Files that are read a little with each poll: they stay open in between, but not for long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from django.db import OperationalError

from metrics.importing.job import Job, Phase
from metrics.importing.running import Portion, portions

IDLE_SECONDS = 60.0


class Reader:
    """A file that is being read: its next portion, and how many items are before that."""

    def __init__(self, job: Job) -> None:
        self.place = _place(job)
        # Always the same moment: what is bad or not must not change on the way.
        self.input = job.files[job.file].input(datetime.fromtimestamp(job.began, UTC))
        self._portions = portions(self.input)
        self.items = 0
        self.head: Portion | None = next(self._portions, None)

    def is_at(self, items: int, until: float) -> bool:
        """Go on to a place that another process has come to; False where there is no time left."""
        while self.head and self.items < items:
            self.next()
            if time.monotonic() > until:
                break
        return self.items >= items or self.head is None

    def next(self) -> None:
        """Go behind the next portion."""
        if self.head:
            self.items = self.head.items
            self.head = next(self._portions, None)

    def close(self) -> None:
        """Let go of the file, and of the program that may read it for us."""
        self.head = None
        self._portions.close()


_open: list[tuple[Reader, threading.Timer]] = []
_lock = threading.Lock()


@contextmanager
def reader_of(job: Job) -> Iterator[Reader]:
    """Take the reader that this process left open, or open one.

    Beginning at the first byte with each step would take ever longer.
    """
    reader = _taken()
    if reader is None or reader.place != _place(job) or reader.items > job.items:
        if reader:
            reader.close()
        reader = Reader(job)
    try:
        yield reader
    except OperationalError:  # somebody else writes: the same portion comes again
        _keep(reader)
        raise
    except BaseException:
        reader.close()
        raise
    _keep(reader)


def close_all() -> None:
    """Let go of what this process has open."""
    if reader := _taken():
        reader.close()


def _keep(reader: Reader) -> None:
    if reader.head is None:
        reader.close()
        return
    timer = threading.Timer(IDLE_SECONDS, _forget, [reader])
    timer.daemon = True
    with _lock:
        _open.append((reader, timer))
    timer.start()


def _taken() -> Reader | None:
    with _lock:
        reader, timer = _open.pop() if _open else (None, None)
    if timer:
        timer.cancel()
    return reader


def _forget(reader: Reader) -> None:
    """Close a reader that nobody has asked for since."""
    with _lock:
        if not _open or _open[-1][0] is not reader:
            return
        _open.pop()
    reader.close()


def _place(job: Job) -> tuple[str, Phase, int]:
    return job.id, job.phase, job.file
