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

from metrics.kernel.perf_table import HARDWARE, HW_CACHE, Event

_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
# perf_event_attr of the first kernel that had it: type, size, config, sample_period, sample_type,
# read_format, flags, wakeup_events, bp_type, bp_addr.
_ATTR = struct.Struct("=IIQQQQQIIQ")
_TOTAL_TIME_ENABLED, _TOTAL_TIME_RUNNING, _GROUP = 1 << 0, 1 << 1, 1 << 3
_READ_FORMAT = _TOTAL_TIME_ENABLED | _TOTAL_TIME_RUNNING | _GROUP
_EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 5, 6
_CLOSE_ON_EXEC = 1 << 3

_NO_COUNTER = (
    "This machine shows no such hardware counter: a virtual machine needs a virtual PMU, which "
    "its host can switch on."
)
_NO_EVENT = "This kernel does not know the event."
_FORBIDDEN = (
    "Counting the whole machine is not permitted: give the sampler the capability PERFMON, or set "
    "kernel.perf_event_paranoid to 0 (it is {paranoid})."
)
_TOO_FEW_DESCRIPTORS = (
    "There are too few file descriptors: raise the limit (ulimit -n, LimitNOFILE=) or select "
    "fewer CPUs."
)
_TAKEN = "Another program holds the counters: stop it, or wait until it ends."
_REASONS = {
    errno.ENOSYS: "This kernel has no perf_event_open: it was built without CONFIG_PERF_EVENTS.",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EMFILE: _TOO_FEW_DESCRIPTORS,
    errno.ENFILE: _TOO_FEW_DESCRIPTORS,
    errno.EBUSY: _TAKEN,
    errno.ENOSPC: _TAKEN,
    errno.ENODEV: "The CPU is not online.",
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


def open_event(event: Event, cpu: int, leader: int = -1) -> int:
    """Counts the event on one CPU, whoever runs there, in the group of `leader`."""
    attr = _attr(event, 0)
    try:
        return system_call(attr, -1, cpu, leader)
    except OSError as error:
        if error.errno != errno.EMFILE or not _raise_limit():
            raise
    return system_call(attr, -1, cpu, leader)


def why(event: Event, number: int, paranoid: str | None) -> str:
    """What keeps `event` from being counted, and the remedy, where opening it gave errno `number`.

    The process asks for its own events once more: whether that works tells a machine that cannot
    from a permission that is missing.
    """
    own = _errno_of_own(event)
    if number != errno.ENOSYS and own == errno.EPERM:
        return (
            "perf_event_open is forbidden here, as containers do: "
            "allow it in the seccomp profile and add the capability PERFMON."
        )
    if own in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return _NO_COUNTER if event.type in (HARDWARE, HW_CACHE) else _NO_EVENT
    reason = _REASONS.get(number) or (
        f"The kernel refuses it: {errno.errorcode.get(number, number)}, {os.strerror(number)}."
    )
    return reason.format(paranoid=paranoid or "unknown")


def _errno_of_own(event: Event) -> int | None:
    attr = _attr(event, _flag(_EXCLUDE_KERNEL) | _flag(_EXCLUDE_HYPERVISOR))
    try:
        os.close(system_call(attr, 0, -1, -1))
    except OSError as error:
        return error.errno
    return None


def _attr(event: Event, flags: int) -> bytes:
    return _ATTR.pack(event.type, _ATTR.size, event.config, 0, 0, _READ_FORMAT, flags, 0, 0, 0)


def _raise_limit() -> bool:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True
