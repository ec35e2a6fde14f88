"""Files as they come: plain or compressed, with bounds; found in folders."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from metrics.importing.base import LEAST_BYTES, RATIO, BadInput, Input

BLOCK = 1 << 18
_OPENERS: dict[bytes, Callable[[IO[bytes]], object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_DAMAGED = (zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class Unpacked:
    """The content of a file, unpacked where it is compressed, in blocks or lines.

    Raises BadInput where it is damaged, cut off, or unpacks to out of proportion.
    """

    def __init__(self, input: Input, raw: IO[bytes]) -> None:
        self._input, self._raw = input, raw
        start = raw.read(6)
        raw.seek(0)
        opener = next((one for magic, one in _OPENERS.items() if start.startswith(magic)), None)
        self.is_compressed = opener is not None
        self._file = cast(IO[bytes], opener(raw)) if opener else raw
        self._given = 0
        self._most = max(LEAST_BYTES, RATIO * input.size)

    def read(self, size: int = BLOCK) -> bytes:
        """Return the next bytes, none at the end."""
        return self._checked(lambda: self._file.read(size))

    def readline(self, most: int) -> bytes:
        """Return the next line with its end, or the first `most` bytes of it."""
        return self._checked(lambda: self._file.readline(most))

    def _checked(self, take: Callable[[], bytes]) -> bytes:
        try:
            data = take()
        except EOFError:
            raise self._fault("the compressed file is cut off.") from None
        except _DAMAGED:
            raise self._fault("the compressed file is damaged.") from None
        except OSError as error:
            what = error.strerror or "the compressed file is damaged"
            raise self._fault(f"{what}.") from None
        self._given += len(data)
        self._input.read = min(self._raw.tell(), self._input.size)
        if self.is_compressed and self._given > self._most:
            raise self._fault(
                f"it unpacks to more than {self._most >> 20} MiB, {RATIO} times its size: "
                "that is no file of samples."
            )
        return data

    def _fault(self, what: str) -> BadInput:
        return BadInput(self._input.name, what, is_end=True)


@contextmanager
def opened(input: Input) -> Iterator[Unpacked]:
    """Open a file for reading; raise BadInput where that cannot be."""
    try:
        raw = Path(input.path).open("rb")  # noqa: SIM115  closed below
    except OSError as error:
        raise BadInput(input.name, f"{error.strerror}.", is_end=True) from None
    with raw:
        input.read = 0
        yield Unpacked(input, raw)


def size_of(path: Path) -> int:
    """Return the bytes of an ordinary file; raise BadInput for anything else."""
    try:
        if not path.is_file():
            what = "is not a file." if path.exists() else "No such file or directory."
            raise BadInput(str(path), what, is_end=True)
        return path.stat().st_size
    except OSError as error:
        raise BadInput(str(path), f"{error.strerror}.", is_end=True) from None
