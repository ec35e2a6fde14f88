"""/proc/pressure: how long tasks waited for CPU, memory and disks (PSI)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

from metrics.kernel.files import KernelFile
from metrics.kernel.host import Host

RESOURCES = ("cpu", "memory", "io")


class Stall(NamedTuple):
    """Shares of time in percent, means of 10, 60 and 300 s, and all stall time in µs."""

    avg10: float
    avg60: float
    avg300: float
    total: int


def parse_pressure(text: bytes) -> dict[str, Stall]:
    """`some` and `full` of one resource; a line of another kind is left out."""
    stalls = {}
    for line in text.decode("ascii", "replace").splitlines():
        name, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        stalls[name] = Stall(
            float(values["avg10"]),
            float(values["avg60"]),
            float(values["avg300"]),
            int(values["total"]),
        )
    return stalls


def pressure(host: Host) -> Callable[[], dict[str, dict[str, Stall]]]:
    """A reader of all resources. Raises FileNotFoundError where the kernel does not measure it."""
    files = {name: _open(host.proc(f"pressure/{name}")) for name in RESOURCES}
    return lambda: {name: parse_pressure(file.read()) for name, file in files.items()}


def _open(path: str) -> KernelFile:
    try:
        file = KernelFile(path)
        file.read()
    except OSError as error:
        # Built in but not switched on (psi=1 at boot): the files are there and refuse to open.
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise FileNotFoundError(error.errno, "is switched off", path) from error
    return file
