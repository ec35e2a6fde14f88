"""Mounted filesystems that hold somebody's data, and how full they are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from metrics.kernel.files import KernelFile
from metrics.kernel.host import Host
from metrics.kernel.slow import Periodic, wait_for_first

MOUNTS_SECONDS = 30.0
REMOTE_SECONDS = 10.0

LOCAL = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "bcachefs", "f2fs", "jfs", "nilfs2"),
        *("reiserfs", "reiser4", "vfat", "msdos", "exfat", "ntfs", "ntfs3", "hfs"),
        *("hfsplus", "apfs", "ufs", "ubifs", "jffs2", "minix"),
    }
)
# Their statvfs may wait for another machine, or for a process of this one.
REMOTE = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "9p", "virtiofs"),
        *("vboxsf", "lustre", "gpfs", "beegfs", "orangefs", "gfs2", "ocfs2", "davfs"),
        *("fuseblk", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.ceph", "fuse.s3fs"),
        *("fuse.rclone", "fuse.mergerfs", "fuse.moosefs", "fuse.juicefs", "fuse.curlftpfs"),
    }
)


class Mount(NamedTuple):
    point: str
    path: str  # the mount point with bytes that are not UTF-8 kept, as the system calls want it
    device: str
    number: str  # major:minor of the filesystem: the same for all mounts of it
    fstype: str
    read_only: bool

    @property
    def is_remote(self) -> bool:
        return self.fstype in REMOTE


class Usage(NamedTuple):
    """Bytes and inodes of one filesystem; `available` leaves out what is reserved for root."""

    total: int
    free: int
    available: int
    inodes: int
    inodes_free: int
    inodes_available: int


def unescape(text: str) -> str:
    """A field of mountinfo: space, tab, newline and backslash come as \\ooo (proc(5))."""
    if "\\" not in text:
        return text
    head, *rest = text.split("\\")
    return head + "".join(
        chr(int(part[:3], 8)) + part[3:] if part[:3].isdecimal() else "\\" + part for part in rest
    )


def parse_mountinfo(text: bytes) -> list[Mount]:
    """Every line, in the kernel's order (later mounts hide earlier ones at the same point)."""
    mounts = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        left, separator, right = line.partition(" - ")
        if not separator:
            continue
        _, _, number, _, point, options, *_ = left.split(" ")
        fstype, device, super_options = [*right.split(" ", 2), "", ""][:3]
        path = unescape(point)
        mounts.append(
            Mount(
                point=_printable(path),
                path=path,
                device=_printable(unescape(device)),
                number=number,
                fstype=fstype,
                read_only="ro" in options.split(",") or "ro" in super_options.split(","),
            )
        )
    return mounts


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def real_mounts(mounts: Iterable[Mount]) -> list[Mount]:
    """Each filesystem with data once, at its shortest mount point; images and loops left out."""
    visible = {mount.point: mount for mount in mounts}
    chosen: dict[str, Mount] = {}
    for mount in visible.values():
        if mount.fstype not in LOCAL and mount.fstype not in REMOTE:
            continue
        if mount.device.startswith("/dev/loop"):
            continue
        other = chosen.get(mount.number)
        if other is None or len(mount.point) < len(other.point):
            chosen[mount.number] = mount
    return sorted(chosen.values())


def usage(path: str) -> Usage:
    """Raises OSError when the path cannot be asked."""
    s = os.statvfs(path)
    size = s.f_frsize
    return Usage(
        total=s.f_blocks * size,
        free=s.f_bfree * size,
        available=s.f_bavail * size,
        inodes=s.f_files,
        inodes_free=s.f_ffree,
        inodes_available=s.f_favail,
    )


def _is_below(mount: Mount, other: Mount) -> bool:
    """Whether the way to a mount leads through a network filesystem, which may hang."""
    return other.is_remote and mount.path.startswith(other.path.rstrip("/") + "/")


class Filesystems:
    """Reads the mount table every 30 s and the usage of its real filesystems at each call.

    A network filesystem, and what is mounted below one, has a thread of its own, so a server that
    is away costs only its numbers.
    """

    def __init__(self, host: Host, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._clock = clock
        self._file = KernelFile(host.process("mountinfo"), long_lines=True)
        self._mounts: list[Mount] = []
        self._remote: dict[Mount, Periodic[Usage]] = {}
        self._look_at_mounts()
        wait_for_first(self._remote.values())

    def __call__(self) -> list[tuple[Mount, Usage | None]]:
        """The filesystems by mount point, with None where one does not answer."""
        if self._clock() - self._looked >= MOUNTS_SECONDS:
            self._look_at_mounts()
        return [(mount, self._usage(mount)) for mount in self._mounts]

    def _look_at_mounts(self) -> None:
        self._mounts = real_mounts(parse_mountinfo(self._file.read()))
        self._looked = self._clock()
        # The dropped ones stop with their last reference.
        self._remote = {
            mount: self._remote.get(mount) or self._watch(mount)
            for mount in self._mounts
            if mount.is_remote or any(_is_below(mount, other) for other in self._mounts)
        }

    def _watch(self, mount: Mount) -> Periodic[Usage]:
        path = self._host.root(mount.path)
        return Periodic(lambda: usage(path), REMOTE_SECONDS)

    def _usage(self, mount: Mount) -> Usage | None:
        if (remote := self._remote.get(mount)) is not None:
            return remote.latest()
        try:
            return usage(self._host.root(mount.path))
        except OSError:
            # Unmounted since the table was read, or not for this user: the others still count.
            return None
