"""Counts events on whole CPUs, by perf_event_open(2): groups with one leader and one read each."""

from __future__ import annotations

import errno
import itertools
import os
import struct
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from metrics.kernel.cpus import counter_types, format_cpus
from metrics.kernel.files import read_once
from metrics.kernel.host import Host
from metrics.kernel.perf_call import Why, open_event, why
from metrics.kernel.perf_table import EVENTS, SOFTWARE, Event

RETRY_SECONDS = 30.0
_TOO_MANY = (errno.EMFILE, errno.ENFILE)
_OF_ONE_CPU = (errno.ENODEV, errno.EBUSY, errno.ENOSPC)

Key = tuple[int, str]  # CPU and group


class GroupCount(NamedTuple):
    """What one group has counted on one CPU since it was opened, times in ns.

    A group that is opened anew begins at 0 and has another `serial`.
    """

    serial: int
    enabled: int
    running: int
    values: dict[str, int]


class Counts(NamedTuple):
    """One reading; `missing` says of each event why it is not counted, or not everywhere."""

    cpus: frozenset[int]
    groups: dict[Key, GroupCount]
    missing: dict[str, Why]


class _Group:
    """Open events of one group on one CPU, the leader first. Closed with the object."""

    _serials = itertools.count()

    def __init__(self) -> None:
        self.serial = next(self._serials)
        self.names: list[str] = []
        self.descriptors: list[int] = []

    def add(self, event: Event, cpu: int, pmu: int) -> None:
        leader = self.descriptors[0] if self.descriptors else -1
        self.descriptors.append(open_event(event, cpu, leader, pmu))
        self.names.append(event.name)
        # nr, time_enabled, time_running, then a value for each event in the order of opening
        self._layout = struct.Struct(f"={3 + len(self.names)}Q")

    def read(self) -> GroupCount | None:
        """None when the descriptor is lost: closed by somebody, or its CPU went away."""
        try:
            data = os.read(self.descriptors[0], self._layout.size)
        except OSError as error:
            if error.errno == errno.EBADF:
                self.descriptors = []  # not ours any more: closing could hit somebody else's
            return None
        if len(data) != self._layout.size:
            return None
        _, enabled, running, *values = self._layout.unpack(data)
        return GroupCount(self.serial, enabled, running, dict(zip(self.names, values, strict=True)))

    def close(self, close: Callable[[int], None] = os.close) -> None:
        # The leader last: without it the others would go on as groups of their own.
        # `close` is a default because modules are empty when the interpreter ends.
        while self.descriptors:
            close(self.descriptors.pop())

    def __del__(self) -> None:
        self.close()


class Counters:
    """Counts `events`, each on its own merits: what cannot be opened is left out of its group.

    What is lost is opened again at the next reading, what could not be opened every 30 s.
    """

    def __init__(
        self,
        host: Host,
        events: Sequence[Event] = EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._events: dict[str, list[Event]] = {}
        for event in events:
            self._events.setdefault(event.group, []).append(event)
        self._clock = clock
        self._cpus: frozenset[int] = frozenset()
        self._groups: dict[Key, _Group] = {}
        self._absent: dict[Key, float] = {}  # by the time to try again
        self._again = 0.0  # the earliest of these times
        self._refused: dict[Event, dict[int, int]] = {}  # errno by CPU
        self._missing: dict[str, Why] = {}
        self._types: dict[int, int] = {}

    def read(self, cpus: frozenset[int]) -> Counts:
        """The counts of these CPUs, as far as they can be counted. Raises no OSError."""
        if cpus != self._cpus:
            self._select(cpus)
        if self._absent and (now := self._clock()) >= self._again:
            self._open([key for key, again in self._absent.items() if again <= now], now)
            self._again = min(self._absent.values(), default=0.0)
        counts = {}
        for key, group in self._groups.items():
            count = group.read()
            if count is None:
                self._absent[key] = self._again = 0.0
            else:
                counts[key] = count
        for key in self._groups.keys() & self._absent.keys():
            del self._groups[key]
        return Counts(cpus, counts, self._missing)

    def close(self) -> None:
        """Lets go of all descriptors; a later reading opens them anew."""
        if self._cpus:
            self._select(frozenset())

    def _select(self, cpus: frozenset[int]) -> None:
        wanted = {(cpu, group) for cpu in cpus for group in self._events}
        self._groups = {key: group for key, group in self._groups.items() if key in wanted}
        # A set that changed is a new chance for what was refused.
        self._absent = dict.fromkeys(sorted(wanted - self._groups.keys()), 0.0)
        self._again = 0.0
        for numbers in self._refused.values():
            for cpu in numbers.keys() - cpus:
                del numbers[cpu]
        self._cpus = cpus
        self._types = counter_types(self._host)
        self._explain()

    def _open(self, keys: Sequence[Key], now: float) -> None:
        denied: dict[tuple[Event, int], int] = {}
        for cpu, name in keys:
            group = _Group()
            pmu = self._types.get(cpu, 0)
            for event in tuple(self._events[name]):
                refused = self._refused.setdefault(event, {})
                refused.pop(cpu, None)
                number = denied.get((event, pmu)) or self._added(group, event, cpu, pmu)
                if number in _TOO_MANY:
                    self._give_all_back(now)
                    return
                if number == errno.EINVAL and group.names and self._apart(event):
                    continue
                if number:
                    refused[cpu] = number
                    if number not in _OF_ONE_CPU:
                        denied[event, pmu] = number  # by all CPUs of the type
            if group.names:
                self._groups[cpu, name] = group
                del self._absent[cpu, name]
            else:
                self._absent[cpu, name] = now + RETRY_SECONDS
        self._explain()

    def _added(self, group: _Group, event: Event, cpu: int, pmu: int) -> int:
        """The errno that kept the event out of the group, 0 when it is in."""
        try:
            group.add(event, cpu, pmu)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _apart(self, event: Event) -> bool:
        """Gives an event a group of its own from the next reading on: together they do not fit."""
        together = self._events[event.group]
        if event not in together or len(together) < 2:
            return False
        together.remove(event)
        self._events[event.name] = [event]
        for cpu in self._cpus:
            self._absent[cpu, event.name] = 0.0
            group = self._groups.get((cpu, event.group))
            if group and event.name in group.names:
                # Of CPUs of another type, which had room for it.
                del self._groups[cpu, event.group]
                self._absent[cpu, event.group] = 0.0
        return True

    def _give_all_back(self, now: float) -> None:
        """The rest of the program needs descriptors more than this does."""
        self._groups.clear()
        for cpu in self._cpus:
            for name in self._events:
                self._absent[cpu, name] = now + RETRY_SECONDS
        for events in self._events.values():
            for event in events:
                self._refused[event] = dict.fromkeys(self._cpus, errno.EMFILE)
        self._explain()

    def _explain(self) -> None:
        self._missing = {}
        refused = {event: numbers for event, numbers in self._refused.items() if numbers}
        if not refused:
            return
        paranoid = read_once(self._host.proc("sys/kernel/perf_event_paranoid"))
        counted = {name for group in self._groups.values() for name in group.names}
        has_counters = any(
            event.name in counted and event.type != SOFTWARE
            for events in self._events.values()
            for event in events
        )
        for event, numbers in refused.items():
            number = next(iter(numbers.values()))
            reason = why(event, number, paranoid, others_work=has_counters)
            if len(numbers) < len(self._cpus):
                reason = Why(*(f"On CPUs {format_cpus(numbers)}: {text}" for text in reason))
            self._missing[event.name] = reason
