"""What this process may do, and whether the kernel's clock is set by somebody."""

from __future__ import annotations

import ctypes

from metrics.kernel.files import read_once

# linux/capability.h
_BY_NUMBER = {21: "SYS_ADMIN", 38: "PERFMON"}
_TIME_ERROR = 5  # sys/timex.h: the clock is not synchronised


def capabilities(of: str = "CapEff") -> tuple[str, ...]:
    """Those that matter for counting: in effect, or with "CapBnd" those that this process may get.

    What a container or a unit of systemd is not given is not in the latter.
    """
    for line in (read_once("/proc/self/status") or "").splitlines():
        name, _, value = line.partition(":")
        if name == of:
            bits = int(value.strip(), 16)
            return tuple(n for bit, n in _BY_NUMBER.items() if bits >> bit & 1)
    return ()


def clock_is_synchronised() -> bool | None:
    """Whether something (NTP, PTP, the hypervisor) keeps the kernel's clock; None if unknown."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex"):
        return None
    # struct timex with modes 0, which only asks; it is 208 bytes on 64-bit machines.
    state = libc.adjtimex(ctypes.create_string_buffer(512))
    return None if state < 0 else state != _TIME_ERROR
