"""Reads what sysstat's sadf writes, sample by sample, and has it read archives."""

import codecs
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from metrics.collectors.base import Json
from metrics.importing.base import MOST_RECORD, BadInput, Input
from metrics.importing.files import BLOCK, Unpacked, opened

MAGIC = (b"\x96\xd5", b"\xd5\x96")
"""How archives begin, of machines of either byte order (sa.h, SYSSTAT_MAGIC)."""

ARCHIVE = re.compile(r"sa[0-9]{2}([0-9]{6})?(\.(gz|xz|bz2))?|.*\.json(\.(gz|xz|bz2))?")
OPTIONS = ("--", "-A", "-F", "MOUNT")
MISSING = (
    "sadf is needed to read it (Debian and Ubuntu: apt install sysstat). Or bring the JSON that "
    "`sadf -j FILE -- -A -F MOUNT` prints where it is installed."
)
_SAMPLES = re.compile(r'"statistics"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_SAMPLE = re.compile(r'\{\s*"timestamp"\s*:')
_DECODE = json.JSONDecoder().raw_decode


class Part(NamedTuple):
    """What stands before the samples (`host`), one of them (`sample`), or behind them (`end`)."""

    name: str
    value: Json
    line: int


def archives(path: Path) -> list[Path]:
    """Return a file, or the archives in a folder and those below it."""
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.rglob("*") if ARCHIVE.fullmatch(one.name) and one.is_file())
    if not found:
        raise BadInput(str(path), "there is no file like sa01 or sa20260301 in this folder.")
    return found


def parts_of(input: Input) -> Iterator[Part | BadInput]:
    """Yield what a file holds; what is bad comes in its place, and at the end what ended it."""
    try:
        with opened(input) as file:
            start = file.read(2)
            while start and start.isspace():
                start = start.strip() + file.read(1)
            if start.startswith(b"{"):
                yield from _parts(file.read, input.name, start)
            elif start in MAGIC:
                yield from _converted(file, input, start)
            else:
                what = "it is neither an archive of sysstat nor JSON of sadf."
                yield BadInput(input.name, what, line=1, is_end=True)
    except BadInput as error:
        yield error


def _converted(file: Unpacked, input: Input, start: bytes) -> Iterator[Part | BadInput]:
    """Have sadf print an archive; one that is compressed goes through a file without a name."""
    if not file.is_compressed:
        yield from _printed(input, input.path, ())
        return
    with tempfile.TemporaryFile() as plain:
        plain.write(start)
        while block := file.read():
            plain.write(block)
        plain.flush()
        yield from _printed(input, f"/dev/fd/{plain.fileno()}", (plain.fileno(),))


def _printed(input: Input, path: str, descriptors: tuple[int, ...]) -> Iterator[Part | BadInput]:
    command = ["sadf", "-j", path if path.startswith("/") else f"./{path}", *OPTIONS]
    environment = os.environ | {"LC_ALL": "C", "TZ": "UTC"}
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=said,
                pass_fds=descriptors,
                env=environment,
            )
        except FileNotFoundError:
            yield BadInput(input.name, MISSING, is_end=True)
            return
        with process:
            stdout: IO[bytes] = process.stdout  # type: ignore[assignment]
            bad = None
            try:
                for part in _parts(stdout.read, input.name, b""):
                    if isinstance(part, BadInput) and part.is_end:
                        bad = part
                        break
                    yield part
            finally:
                stdout.close()
                process.wait()
        said.seek(0)
        lines = said.read(2_000).decode(errors="replace").splitlines()
        words = " ".join(dict.fromkeys(line.strip() for line in lines if line.strip()))
        input.read = input.size
        if words:
            words = words.replace(input.path, input.name)
            yield BadInput(input.name, f"sadf says: {words}", is_end=True)
        elif bad:
            yield bad


def _parts(read: Callable[[int], bytes], name: str, start: bytes) -> Iterator[Part | BadInput]:
    text = _Text(read, name, start)
    if not text.find(_SAMPLES):
        yield text.fault("it is no JSON of sadf: there is no list `statistics` in it.", is_end=True)
        return
    begin, line = text.taken, text.line
    host = _host(begin + "]}]}}")
    if host is None:
        yield BadInput(name, "what stands before the samples is no JSON of sadf.", line=line)
    yield Part("host", host or {}, 1)
    while True:
        found = text.next_value()
        if found is None:
            break
        yield found
        if isinstance(found, BadInput) and (found.is_end or not text.skip_to(_SAMPLE)):
            return
    end = _host('{"sysstat": {"hosts": [{"statistics": [' + text.rest())
    if end is None:
        yield text.fault("the file is cut off, or damaged, behind the last sample.", is_end=True)
        return
    yield Part("end", end, text.line)


def _host(text: str) -> dict[str, Json] | None:
    try:
        [host] = json.loads(text)["sysstat"]["hosts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return host if isinstance(host, dict) else None


class _Text:
    """The text of a file, of which never more than one sample and a block is kept."""

    def __init__(self, read: Callable[[int], bytes], name: str, start: bytes) -> None:
        self._read, self._name = read, name
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._buffer = self._decoder.decode(start)
        self.line = 1
        self.taken = ""
        self._is_over = False

    def fault(self, what: str, at: int = 0, *, is_end: bool = False) -> BadInput:
        line = self.line + self._buffer.count("\n", 0, at)
        return BadInput(self._name, what, line=line, is_end=is_end)

    def find(self, pattern: re.Pattern[str]) -> bool:
        """Go behind the next place where the pattern is; `taken` is what was passed by."""
        while True:
            if found := pattern.search(self._buffer):
                self.taken = self._buffer[: found.end()]
                self._drop(found.end())
                return True
            if len(self._buffer) > MOST_RECORD or not self._more():
                return False

    def skip_to(self, pattern: re.Pattern[str]) -> bool:
        """Go to the next place where the pattern is, but for the very next sign."""
        self._drop(1)
        while True:
            if found := pattern.search(self._buffer):
                self._drop(found.start())
                return True
            self._drop(max(0, len(self._buffer) - 100))
            if not self._more():
                return False

    def next_value(self) -> Part | BadInput | None:
        """Return the next value of the list; None at its end."""
        while True:
            self._drop(_BETWEEN.match(self._buffer).end())  # type: ignore[union-attr]
            if self._buffer.startswith("]"):
                return None
            try:
                value, end = _DECODE(self._buffer)
            except json.JSONDecodeError as error:
                # It may be incomplete only.
                if len(self._buffer) > MOST_RECORD:
                    return self.fault("a sample of more than 16 MiB, or no JSON.", is_end=True)
                if self._more():
                    continue
                if self._is_cut(error):
                    what = "the file ends in the middle of a sample."
                    return self.fault(what, error.pos, is_end=True)
                return self.fault(f"no JSON: {error.msg}.", error.pos)
            except (ValueError, RecursionError):
                return self.fault("nested too deeply, or a number that is too long.", is_end=True)
            part = Part("sample", value, self.line)
            self._drop(end)
            return part

    def rest(self) -> str:
        """Return what stands behind the list, its bracket included."""
        while len(self._buffer) <= MOST_RECORD and self._more():
            pass
        return self._buffer

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the text ends where more was expected: nothing but an unfinished word follows."""
        return not _SAMPLE.search(self._buffer, 1)

    def _more(self) -> bool:
        if self._is_over:
            return False
        block = self._read(BLOCK)
        self._is_over = not block
        self._buffer += self._decoder.decode(block, final=self._is_over)
        return True

    def _drop(self, end: int) -> None:
        self.line += self._buffer.count("\n", 0, end)
        self._buffer = self._buffer[end:]
