"""Samples that no database has taken yet: a bounded queue in memory, and a file that survives.

A line of the file is `{"id":…,"time":…,"document":…,"checksum":…}`; the checksum is the CRC-32 of
what stands before it, so a line that was being written when the power failed is recognised.
"""

import errno
import fcntl
import json
import logging
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from metrics.sampling import Snapshot

log = logging.getLogger("perfwatch.storage")

MOST_BYTES = 2**30
"""Ten days of samples of 6 KB, one every 5 s."""

MARK = b',"checksum":"'
READ_BYTES = 1 << 20


class InUse(Exception):
    """Another process has the spool."""


class Entry(NamedTuple):
    """A snapshot as text: that takes a tenth of the memory of its objects."""

    id: str
    timestamp: datetime
    text: str

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Entry":
        """Return the entry of a snapshot."""
        text = json.dumps(snapshot.data, separators=(",", ":"))
        return cls(str(snapshot.data["sampler"]["id"]), snapshot.timestamp, text)

    def line(self) -> bytes:
        """Return the line of the file."""
        body = f'{{"id":"{self.id}","time":"{self.timestamp.isoformat()}","document":{self.text}'
        content = body.encode()
        return b'%s%s%08x"}\n' % (content, MARK, zlib.crc32(content))


def parsed(line: bytes) -> Entry | None:
    """Return what a line of the file says, or None where it is not whole."""
    content, mark, checksum = line.rpartition(MARK)
    if not mark or checksum != b'%08x"}' % zlib.crc32(content):
        return None
    head, name, document = content.partition(b'"document":')
    try:
        found = json.loads(head + name + b"0}")
        return Entry(found["id"], datetime.fromisoformat(found["time"]), document.decode())
    except (ValueError, KeyError, TypeError):
        return None  # somebody else has written it


class Waiting:
    """Entries that nobody has acknowledged, oldest first: bounded, for several threads."""

    def __init__(self, limit: int = 5_000) -> None:
        self._entries: deque[tuple[Entry, float]] = deque()
        self._lock = threading.Lock()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> bool:
        """Keep one more; return whether the oldest had to be dropped for it."""
        with self._lock:
            self._entries.append((entry, time.monotonic()))
            if len(self._entries) <= self._limit:
                return False
            self._entries.popleft()
            return True

    def age(self) -> float:
        """Return for how many seconds the oldest has been waiting."""
        with self._lock:
            return time.monotonic() - self._entries[0][1] if self._entries else 0.0

    def oldest(self, count: int) -> list[Entry]:
        """Return the `count` oldest, which stay until they are removed."""
        with self._lock:
            return [self._entries[index][0] for index in range(min(count, len(self._entries)))]

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget those that are still kept: somebody else has them now."""
        gone = {entry.id for entry in entries}
        with self._lock:
            while self._entries and self._entries[0][0].id in gone:
                self._entries.popleft()


class Portion(NamedTuple):
    """The next lines of the file: what they say, how many they are, and where they end."""

    entries: list[Entry]
    lines: int
    end: int


class Spool:
    """Entries in a file, oldest first: what `append` has returned from survives a power failure.

    Only one process has it. What is read stays in the file until all of it was read: after a
    crash it comes again, and whoever stores it has to look whether it is stored already.
    """

    def __init__(self, path: Path, limit: int = MOST_BYTES) -> None:
        """Describe the spool; `open` or the first `append` opens the file."""
        self.path = path
        self.since: datetime | None = None
        self.damaged = 0
        self._limit = limit
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._lines = self._read_to = self._end = 0

    def __len__(self) -> int:
        return self._lines

    def open(self) -> None:
        """Open the file; raises OSError, and InUse where another process has it."""
        with self._lock:
            self._opened()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def append(self, entries: Sequence[Entry]) -> None:
        """Bring entries to the disk; where this raises OSError, none of them is in the spool."""
        lines = b"".join(entry.line() for entry in entries)
        with self._lock:
            descriptor = self._opened()
            if self._end + len(lines) > self._limit:
                raise OSError(errno.EFBIG, f"it has its {self._limit / 1e6:.0f} MB")
            state = os.fstat(descriptor)
            if not state.st_nlink:
                descriptor = self._made_again(descriptor)
            try:
                # What a failed attempt has left there.
                if state.st_size != self._end:
                    os.ftruncate(descriptor, self._end)
                _write(descriptor, lines, self._end)
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, self._end)
                raise
            if not self._lines:
                self.since = entries[0].timestamp
            self._end += len(lines)
            self._lines += len(entries)

    def oldest(self, count: int) -> Portion | None:
        """Return the `count` oldest lines, which stay until they are removed; None without any.

        Lines that are not whole are left out, counted and said.
        """
        with self._lock:
            if self._descriptor is None or self._read_to >= self._end:
                return None
            with open(self._descriptor, "rb", closefd=False) as file:
                file.seek(self._read_to)
                lines = [file.readline(self._end - file.tell()) for _ in range(count)]
            start = self._read_to
        entries = []
        lines = [line for line in lines if line]
        for line in lines:
            entry = parsed(line.removesuffix(b"\n"))
            if entry:
                entries.append(entry)
            elif line.strip():
                self.damaged += 1
                log.error("A damaged line of %s, %d bytes, is left out.", self.path, len(line))
        return Portion(entries, len(lines), start + sum(map(len, lines)))

    def up_to(self, id: str) -> Portion | None:
        """Return what there is up to the line of a sample, without entries; None without it."""
        start = b'{"id":"%s",' % id.encode()
        with self._lock:
            if self._descriptor is None:
                return None
            end = self._read_to
            with open(self._descriptor, "rb", closefd=False) as file:
                file.seek(end)
                for number, line in enumerate(file, 1):
                    end += len(line)
                    if line.startswith(start):
                        return Portion([], number, end)
        return None

    def remove(self, portion: Portion) -> None:
        """Forget lines that are stored; with the last one the file is emptied."""
        with self._lock:
            self._read_to = portion.end
            self._lines = max(0, self._lines - portion.lines)
            if self._read_to < self._end:
                return
            self._lines = 0
            self.since = None
            # If this fails, or is undone by a power failure, they are looked up once more.
            with suppress(OSError):
                os.ftruncate(self._opened(), 0)
                self._read_to = self._end = 0

    def _opened(self) -> int:
        if self._descriptor is not None:
            return self._descriptor
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Also of a file that was there: who made it may have been killed before this.
            _sync_folder(self.path.parent)
            self._look_through(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise InUse(f"Another process uses {self.path}.") from None
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor

    def _made_again(self, deleted: int) -> int:
        """Copy a file that somebody has deleted to a new one; else it would end with us.

        All of it, also what was read: the places of lines are known to others.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for offset in range(0, self._end, READ_BYTES):
                length = min(READ_BYTES, self._end - offset)
                _write(descriptor, os.pread(deleted, length, offset), offset)
            os.fsync(descriptor)
            _sync_folder(self.path.parent)
        except OSError:
            os.close(descriptor)
            self.path.unlink()
            raise
        os.close(deleted)
        self._descriptor = descriptor
        log.warning("%s was deleted and is made again.", self.path)
        return descriptor

    def _look_through(self, descriptor: int) -> None:
        """Count the lines that an earlier process has left."""
        self._lines, self._read_to, self._end = 0, 0, os.fstat(descriptor).st_size
        for offset in range(0, self._end, READ_BYTES):
            self._lines += os.pread(descriptor, READ_BYTES, offset).count(b"\n")
        if self._end and os.pread(descriptor, 1, self._end - 1) != b"\n":
            # The power failed in the middle of a line; the next one must not be glued to it.
            os.pwrite(descriptor, b"\n", self._end)
            self._end += 1
            self._lines += 1
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            whole = (parsed(line.removesuffix(b"\n")) for line in file)
            first = next((entry for entry in whole if entry), None)
        self.since = first and first.timestamp


def _write(descriptor: int, what: bytes, offset: int) -> None:
    written = 0
    while written < len(what):
        written += os.pwrite(descriptor, what[written:], offset + written)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
