"""Where the watched host's /proc, /sys and / are mounted, and who the host is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from metrics.kernel.files import KernelFile, read_once


@dataclass(frozen=True)
class Host:
    """The roots of one host. A container mounts the host's own and names them here."""

    procfs: str = "/proc"
    sysfs: str = "/sys"
    rootfs: str = "/"

    def proc(self, name: str) -> str:
        return f"{self.procfs}/{name}"

    def process(self, name: str) -> str:
        """A per-process file: `self` here, process 1 of a redirected procfs.

        `self` of a mounted foreign procfs would be the container, or nobody at all.
        """
        owner = "self" if self.procfs.rstrip("/") == "/proc" else "1"
        return f"{self.procfs}/{owner}/{name}"

    def sys(self, name: str) -> str:
        return f"{self.sysfs}/{name}"

    def root(self, path: str) -> str:
        """`path` of the host as this process reaches it."""
        return self.rootfs.rstrip("/") + path


class Identity(NamedTuple):
    id: str | None
    name: str | None


def identity(host: Host) -> Identity:
    """A stable, anonymous id (32 hex digits of a hash of /etc/machine-id) and the host's name."""
    machine = read_once(host.root("/etc/machine-id"))
    if not machine:
        machine = read_once(host.root("/var/lib/dbus/machine-id"))
    # machine-id(5) asks applications not to expose the id itself.
    hashed = hashlib.sha256(b"perfwatch:" + machine.encode()).hexdigest()[:32] if machine else None
    return Identity(hashed, _name(host))


def _name(host: Host) -> str | None:
    # The kernel answers with the name of the reader's UTS namespace, in a container its own:
    # there the host's file says more.
    names = [host.proc("sys/kernel/hostname"), host.root("/etc/hostname")]
    if host.rootfs.rstrip("/"):
        names.reverse()
    return next(filter(None, map(read_once, names)), None)


def boot_id(host: Host) -> Callable[[], str | None]:
    """A reader of the id that the kernel draws at each boot; None where there is no such file."""
    try:
        file = KernelFile(host.proc("sys/kernel/random/boot_id"))
    except (FileNotFoundError, PermissionError):
        return lambda: None
    return lambda: file.read().decode("ascii", "replace").strip() or None
