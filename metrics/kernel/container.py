"""Whether this process runs in a container: by its namespaces, which no leftover file can fake."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

FIRST_NAMESPACES = {
    "ipc": 0xEFFFFFFF,
    "uts": 0xEFFFFFFE,
    "pid": 0xEFFFFFFC,
    "cgroup": 0xEFFFFFFB,
}
"""Inodes of those in which the kernel starts: include/linux/proc_ns.h, the same on every host."""

MARKS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")
"""Files of Docker, of Podman, and of systemd where its container said so."""

LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})


class Signs(NamedTuple):
    """What speaks for a container; None where that cannot be seen.

    Images leave their mark in virtual machines that are made of them, services may have a
    namespace of their own, and live systems are layered: one sign alone is none.
    """

    has_own_namespace: bool | None
    is_marked: bool
    is_layered: bool


def is_container() -> bool | None:
    """Whether it does; None where that cannot be told."""
    return judged(signs())


def judged(found: Signs) -> bool | None:
    """Return whether the signs are those of a container; None where they contradict each other."""
    if found.has_own_namespace is False:
        return None if found.is_marked and found.is_layered else False
    if found.has_own_namespace and (found.is_marked or found.is_layered):
        return True
    return None


def signs(root: str = "/") -> Signs:
    """Look at this process itself, not at the host that is watched."""
    base = Path(root)
    return Signs(
        _has_own_namespace(base / "proc/self/ns"),
        "container" in os.environ or any((base / mark[1:]).exists() for mark in MARKS),
        _root_filesystem(base / "proc/self/mountinfo") in LAYERED,
    )


def _has_own_namespace(folder: Path) -> bool | None:
    try:
        # No kernel must have all kinds.
        inodes = {
            name: (folder / name).readlink().name
            for name in FIRST_NAMESPACES
            if (folder / name).is_symlink()
        }
    except OSError:
        return None
    if not inodes:
        return None
    return any(inodes[name] != f"{name}:[{FIRST_NAMESPACES[name]}]" for name in inodes)


def _root_filesystem(path: Path) -> str | None:
    """Return the type of what is mounted at / last (proc_pid_mountinfo(5))."""
    found = None
    try:
        for line in path.read_text(errors="surrogateescape").splitlines():
            words, _, more = line.partition(" - ")
            if words.split()[4:5] == ["/"] and more:
                found = more.split()[0]
    except OSError:
        return None
    return found
