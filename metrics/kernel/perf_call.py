"""The system call perf_event_open(2), and what its errors mean. glibc has no wrapper for it."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import resource
import struct
import sys
from typing import NamedTuple

from metrics.kernel.perf_table import SOFTWARE, Event

_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
# perf_event_attr of the first kernel that had it: type, size, config, sample_period, sample_type,
# read_format, flags, wakeup_events, bp_type, bp_addr.
_ATTR = struct.Struct("=IIQQQQQIIQ")
_TOTAL_TIME_ENABLED, _TOTAL_TIME_RUNNING, _GROUP = 1 << 0, 1 << 1, 1 << 3
_READ_FORMAT = _TOTAL_TIME_ENABLED | _TOTAL_TIME_RUNNING | _GROUP
_EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 5, 6
_CLOSE_ON_EXEC = 1 << 3
_PMU_TYPE_SHIFT = 32  # PERF_PMU_TYPE_SHIFT of linux/perf_event.h
# Descriptors for the database, the spool and the collectors that come later: they open about ten.
_KEPT_FREE = 16


class Why(NamedTuple):
    """Why an event is not counted: in a few words, and in a sentence with the remedy."""

    words: str
    sentence: str


_NO_PMU = Why(
    "no PMU",
    "This machine shows no hardware counters: a virtual machine needs a virtual PMU, which its "
    "host can switch on.",
)
_NO_COUNTER = Why("not on this CPU", "This CPU has no counter for some of the events.")
_NO_EVENT = Why("not in this kernel", "This kernel does not know some of the events.")
_NO_NUMBER = Why(
    "unknown machine", "PerfWatch does not know the number of perf_event_open on this machine."
)
_FILTERED = Why(
    "forbidden",
    "A seccomp filter forbids perf_event_open, as those of containers do: give the container the "
    "capability PERFMON (docs/counters.md says how).",
)
_FORBIDDEN = Why(
    "not permitted",
    "Counting the whole machine is not permitted: give the sampler's user the capability PERFMON, "
    "or set kernel.perf_event_paranoid to 0 (it is {paranoid}; docs/counters.md says how).",
)
_SECURITY_MODULE = Why(
    "not permitted",
    "Counting the whole machine is not permitted though kernel.perf_event_paranoid is {paranoid}: "
    "a security module such as SELinux forbids it; its audit log names the rule.",
)
_TOO_FEW_DESCRIPTORS = Why(
    "too few file descriptors",
    "There are too few file descriptors: raise the limit (ulimit -n, LimitNOFILE=) or select "
    "fewer CPUs.",
)
_TAKEN = Why(
    "counters taken", "Another program holds the counters: stop it, or wait until it ends."
)
_REASONS = {
    errno.ENOSYS: Why(
        "no perf_event_open",
        "This kernel has no perf_event_open: it was built without CONFIG_PERF_EVENTS.",
    ),
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EMFILE: _TOO_FEW_DESCRIPTORS,
    errno.ENFILE: _TOO_FEW_DESCRIPTORS,
    errno.EBUSY: _TAKEN,
    errno.ENOSPC: _TAKEN,
    errno.ENODEV: Why("CPU offline", "The CPU is not online."),
    errno.ENOENT: _NO_EVENT,
}


def _flag(bit: int) -> int:
    # The flags are a bit field, which compilers for big-endian machines fill from the top.
    return 1 << (bit if sys.byteorder == "little" else 63 - bit)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [
        *(ctypes.c_long, ctypes.c_char_p),
        *(ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_ulong),
    ]
    return libc


def system_call(attr: bytes, pid: int, cpu: int, leader: int) -> int:
    """A new descriptor. Raises OSError with the kernel's errno."""
    machine = platform.machine()
    if machine not in _NUMBERS:
        raise OSError(errno.ENOSYS, f"The number of perf_event_open on {machine} is not known")
    descriptor: int = _libc().syscall(_NUMBERS[machine], attr, pid, cpu, leader, _CLOSE_ON_EXEC)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor


def open_event(event: Event, cpu: int, leader: int = -1, pmu: int = 0) -> int:
    """Counts the event on one CPU, whoever runs there, in the group of `leader`.

    `pmu` is the type of that CPU's counters on a machine that has CPUs of several types.
    """
    try:
        return _opened(_attr(event, 0, pmu), cpu, leader)
    except OSError as error:
        # Kernels that do not know types of counters in events of all CPUs find the right one.
        if not pmu or error.errno not in (errno.ENOENT, errno.EINVAL):
            raise
    return _opened(_attr(event, 0), cpu, leader)


def _opened(attr: bytes, cpu: int, leader: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        descriptor = system_call(attr, -1, cpu, leader)
        # The kernel gives the lowest number that is free (open(2)).
        if descriptor < soft - _KEPT_FREE:
            return descriptor
        os.close(descriptor)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    except OSError as error:
        if error.errno != errno.EMFILE or soft == hard:
            raise
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return _opened(attr, cpu, leader)


def why(event: Event, number: int, paranoid: str | None, *, others_work: bool = False) -> Why:
    """What keeps `event` from being counted, and the remedy, where opening it gave errno `number`.

    The process asks for its own events once more: whether that works tells a machine that cannot
    from a permission that is missing. `others_work` tells that the machine has such counters.
    """
    if platform.machine() not in _NUMBERS:
        return _NO_NUMBER
    own = _errno_of_own(event)
    # Where the kernel has the call, it has that file (perf_event_open(2)).
    if own == errno.EPERM or (own == errno.ENOSYS and paranoid is not None):
        return _FILTERED
    if own in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL):
        if event.type == SOFTWARE:
            return _NO_EVENT
        return _NO_COUNTER if others_work else _NO_PMU
    reason = _REASONS.get(number)
    if reason is _FORBIDDEN and paranoid in ("0", "-1"):
        reason = _SECURITY_MODULE
    if reason:
        return Why(reason.words, reason.sentence.format(paranoid=paranoid or "unknown"))
    name = errno.errorcode.get(number, str(number))
    return Why(name, f"The kernel refuses it: {name}, {os.strerror(number)}.")


def _errno_of_own(event: Event) -> int | None:
    attr = _attr(event, _flag(_EXCLUDE_KERNEL) | _flag(_EXCLUDE_HYPERVISOR))
    try:
        os.close(system_call(attr, 0, -1, -1))
    except OSError as error:
        return error.errno
    return None


def _attr(event: Event, flags: int, pmu: int = 0) -> bytes:
    config = event.config | (pmu << _PMU_TYPE_SHIFT if event.type != SOFTWARE else 0)
    return _ATTR.pack(event.type, _ATTR.size, config, 0, 0, _READ_FORMAT, flags, 0, 0, 0)
