"""Processes, from /proc/[pid]/stat: no command lines, no library that may ask the network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from metrics.kernel.files import read_once
from metrics.kernel.host import Host

LONGEST_TURN_SECONDS = 0.02
_PER_CLOCK_READING = 16
_LONGEST_LINE = 4096


class Process(NamedTuple):
    """One process as of `moment` (monotonic). `started` and `ticks` count clock ticks."""

    pid: int
    name: str
    ticks: int
    started: int
    rss_bytes: int
    moment: float


def parse_process(text: bytes, moment: float, page_size: int) -> Process:
    """A line of /proc/[pid]/stat. Raises ValueError and IndexError when it is none."""
    # The name is in parentheses and may hold anything, more of them included.
    head, _, tail = text.rpartition(b")")
    pid, _, name = head.partition(b" (")
    columns = tail.split(None, 22)  # from the third of proc(5) on
    return Process(
        pid=int(pid),
        name=name.decode("utf-8", "replace"),
        ticks=int(columns[11]) + int(columns[12]),
        started=int(columns[19]),
        rss_bytes=int(columns[21]) * page_size,
        moment=moment,
    )


class Walk:
    """Looks at all processes, at most 20 ms at a time: a host may have tens of thousands."""

    def __init__(self, host: Host, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = host.proc("")
        self._clock = clock
        self._page_size = os.sysconf("SC_PAGE_SIZE")
        self._left: list[str] = []
        self._found: list[Process] = []
        self._names()

    @property
    def is_under_way(self) -> bool:
        return bool(self._left)

    def __call__(self) -> list[Process] | None:
        """All processes; None when there was no time for all: the next call goes on."""
        if not self._left:
            self._left = self._names()
            self._found = []
        moment = self._clock()
        deadline = moment + LONGEST_TURN_SECONDS
        while self._left and moment < deadline:
            for name in self._left[-_PER_CLOCK_READING:]:
                self._look_at(name, moment)
            del self._left[-_PER_CLOCK_READING:]
            moment = self._clock()
        if self._left:
            return None
        found, self._found = self._found, []
        return found

    def _names(self) -> list[str]:
        with os.scandir(self._folder) as entries:
            return [entry.name for entry in entries if entry.name.isdecimal()]

    def _look_at(self, name: str, moment: float) -> None:
        try:
            descriptor = os.open(f"{self._folder}{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
            try:
                text = os.read(descriptor, _LONGEST_LINE)
            finally:
                os.close(descriptor)
        except OSError:
            return  # it has ended, or is not for this user
        self._found.append(parse_process(text, moment, self._page_size))


class Users:
    """Names of users by the host's own /etc/passwd: a directory service may not answer."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def of(self, pids: Collection[int]) -> dict[int, str]:
        """Who runs each of these processes; a number where the user has no name."""
        owners = {}
        for pid in pids:
            try:
                owners[pid] = Path(self._host.proc(str(pid))).stat().st_uid
            except OSError:
                continue
        names = self._names() if owners else {}
        return {pid: names.get(user, str(user)) for pid, user in owners.items()}

    def _names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for line in (read_once(self._host.root("/etc/passwd")) or "").splitlines():
            name, _, rest = line.partition(":")
            user = rest.split(":", 2)[1:2]
            if user and user[0].isdecimal():
                names.setdefault(int(user[0]), name)
        return names
