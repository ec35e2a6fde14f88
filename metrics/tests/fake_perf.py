"""perf_event_open at its boundary: bytes and errnos as the kernel gives them."""

import errno
import os
import struct
from pathlib import Path

from metrics.kernel import perf, perf_call

ATTR = struct.Struct("=IIQQQQQIIQ")


class FakePerf:
    """Descriptors of /dev/null that answer reads as groups of perf events do.

    `refuse(type, config, cpu)` gives the errno of an event of the whole machine, `own(type)` of
    one of the process itself; None lets it through.
    """

    def __init__(self, monkeypatch):
        self.refuse = lambda type, config, cpu: None
        self.own = lambda type: None
        self.calls = []
        self.leaders = {}  # leader → descriptors of its group, in order
        self.opened = {}  # descriptor → (type, config, cpu)
        self.values = {}  # (config, cpu) → count since ever
        self.times = {}  # cpu → (enabled, running)
        self.lost = set()
        self.reads = 0
        self.real_read = os.read
        self.null = Path(os.devnull).stat().st_rdev
        monkeypatch.setattr(perf_call, "system_call", self.open)
        monkeypatch.setattr(perf.os, "read", self.read)

    def open(self, attr, pid, cpu, leader):
        kind, size, config, _, _, read_format, flags, *_ = ATTR.unpack(attr)
        assert size == len(attr) == 64
        self.calls.append((kind, config, pid, cpu, leader, read_format, flags))
        number = self.own(kind) if pid == 0 else self.refuse(kind, config, cpu)
        if number:
            raise OSError(number, os.strerror(number))
        descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.opened[descriptor] = (kind, config, cpu)
        self.leaders.setdefault(descriptor if leader == -1 else leader, []).append(descriptor)
        if leader == -1:
            self.leaders[descriptor] = [descriptor]
        return descriptor

    def read(self, descriptor, size):
        if os.fstat(descriptor).st_rdev != self.null:
            return self.real_read(descriptor, size)
        self.reads += 1
        cpu = self.opened[descriptor][2]
        if cpu in self.lost:
            return b""
        group = self.leaders[descriptor]
        if size < 8 * (3 + len(group)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        enabled, running = self.times.get(cpu, (0, 0))
        values = [self.values.get(self.opened[one][1:], 0) for one in group]
        return struct.pack(f"={3 + len(group)}Q", len(group), enabled, running, *values)

    def pass_by(self, nanoseconds, share=1.0, **counts):
        """Time passes on CPUs 0 to 3; `c3=7` adds 7 to config 3 on each of them."""
        for cpu in range(4):
            enabled, running = self.times.get(cpu, (0, 0))
            self.times[cpu] = (enabled + nanoseconds, running + int(nanoseconds * share))
            for name, count in counts.items():
                key = (int(name[1:]), cpu)
                self.values[key] = self.values.get(key, 0) + count

    def system_wide(self):
        return [call for call in self.calls if call[2] == -1]


def open_descriptors():
    return {path.name for path in Path("/proc/self/fd").iterdir()}
