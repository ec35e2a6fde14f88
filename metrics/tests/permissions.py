"""Takes from this process, for good, what it needs to count events. For a child of the tests."""

import ctypes
import os
import platform
import struct

from metrics.kernel import perf_call

CAPABILITIES = {"SYS_ADMIN": 21, "PERFMON": 38}  # linux/capability.h


def forbid(number):
    """Have a seccomp filter answer perf_event_open with this errno, for good."""
    load, equal, end = 0x20, 0x15, 0x06  # linux/bpf_common.h
    error, allow = 0x0005_0000, 0x7FFF_0000  # linux/seccomp.h
    steps = [
        *((load, 0, 0, 0), (equal, 0, 1, perf_call._NUMBERS[platform.machine()])),
        *((end, 0, 0, error | number), (end, 0, 0, allow)),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in steps))
    filtering = struct.pack("@HP", len(steps), ctypes.addressof(program))
    no_new_privileges, seccomp, by_filter = 38, 22, 2  # linux/prctl.h
    _prctl(no_new_privileges, 1, 0, 0, 0)
    _prctl(seccomp, by_filter, filtering)


def take_capabilities():
    """Have the next program lack them, also if it is root's."""
    drop_from_bounding_set = 24  # linux/prctl.h
    for number in CAPABILITIES.values():
        _prctl(drop_from_bounding_set, number, 0, 0, 0)


def _prctl(*call):
    if ctypes.CDLL(None, use_errno=True).prctl(*call):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
