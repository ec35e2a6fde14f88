"""perf_event_open at its boundary: bytes and errnos as the kernel gives them."""

import errno
import os
import struct
from pathlib import Path

from metrics.kernel import perf, perf_call

ATTR = struct.Struct("=IIQQQQQIIQ")
LETTERS = {0: "h", 1: "c", 3: "k"}


class FakePerf:
    """Descriptors of /dev/null that answer reads as groups of perf events do.

    `refuse(type, config, cpu)` gives the errno of an event of the whole machine, `own(type)` of
    one of the process itself; None lets it through. Without a PMU only software events are known.
    `fits` is how many events of one type a group can hold.
    """

    def __init__(self, monkeypatch, *, has_pmu=False):
        self.refuse = lambda type, config, cpu: self.own(type)
        self.own = lambda type: None if has_pmu or type == 1 else errno.ENOENT
        self.fits = 9
        self.calls = []
        self.leaders = {}  # leader → descriptors of its group, in order
        self.opened = {}  # descriptor → (type, config, cpu)
        self.values = {}  # (letter and config, cpu) → count since ever
        self.times = {}  # (cpu, type) → (enabled, running)
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
        if leader != -1 and len(self.leaders[leader]) >= self.fits:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
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
        kind, _, cpu = self.opened[descriptor]
        if cpu in self.lost:
            return b""
        group = self.leaders[descriptor]
        if size < 8 * (3 + len(group)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        enabled, running = self.times.get((cpu, kind), (0, 0))
        values = [self.values.get((self.name(one), cpu), 0) for one in group]
        return struct.pack(f"={3 + len(group)}Q", len(group), enabled, running, *values)

    def name(self, descriptor):
        kind, config, _ = self.opened[descriptor]
        return f"{LETTERS[kind]}{config & 0xFFFFFFFF}"

    def pass_by(self, nanoseconds, share=1.0, **counts):
        """Time passes on CPUs 0 to 3; `c3=7` adds 7 to software event 3 on each of them.

        `h1` is hardware event 1, `k65536` that of the caches. `share` is the time in which what is
        counted had a counter.
        """
        letters = {name[0] for name in counts} or set("chk")
        for cpu in range(4):
            for kind, letter in LETTERS.items():
                enabled, running = self.times.get((cpu, kind), (0, 0))
                ran = int(nanoseconds * share) if letter in letters else nanoseconds
                self.times[cpu, kind] = (enabled + nanoseconds, running + ran)
            for name, count in counts.items():
                self.values[name, cpu] = self.values.get((name, cpu), 0) + count

    def system_wide(self):
        return [call for call in self.calls if call[2] == -1]


def open_descriptors():
    return {path.name for path in Path("/proc/self/fd").iterdir()}
