"""Files that the kernel writes anew each time they are read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_CHUNK = 1 << 16
_HALF_PAGE = 2048
# What a descriptor answers when the process, device or mount behind it went away and may be back.
_GONE = frozenset({errno.ESRCH, errno.ENOENT, errno.EBADF, errno.ESTALE, errno.ENODEV})


class KernelFile:
    """A file of /proc or /sys, kept open: `pread` at 0 saves opening it for each sample (10 µs).

    `long_lines` says that a line may exceed half a page. Opening and reading raise OSError. The
    descriptor is closed with the object.
    """

    def __init__(self, path: str, *, long_lines: bool = False) -> None:
        self.path = path
        self._surely_whole = 0 if long_lines else _HALF_PAGE
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> bytes:
        """The whole content as of now; opens the path once more when the descriptor is stale."""
        try:
            return self._read_from_start()
        except OSError as error:
            if error.errno not in _GONE:
                raise
            if error.errno == errno.EBADF:
                self._descriptor = -1  # not ours any more: closing it could hit somebody else's
        self.close()
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return self._read_from_start()

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def _read_from_start(self) -> bytes:
        # A seq_file hands out as many lines as fit into a page, however large the buffer is
        # (fs/seq_file.c). So less than half a page is the end where no line is as long as the
        # other half, and else only an empty read is: a second call for each of a dozen files.
        first = os.pread(self._descriptor, _CHUNK, 0)
        if 0 < len(first) < self._surely_whole:
            return first
        parts = [first]
        offset = len(first)
        while parts[-1]:
            parts.append(os.pread(self._descriptor, _CHUNK, offset))
            offset += len(parts[-1])
        return b"".join(parts)


def read_once(path: str | Path) -> str | None:
    """The stripped text of a small file that is read seldom; None when it cannot be read."""
    try:
        return Path(path).read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        # Attributes of sysfs answer with many errors for "not here": ENOENT, EINVAL, EIO, ENODATA.
        return None
