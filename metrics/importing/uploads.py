"""Files that people upload: streamed to the data folder, bounded, told apart by their content."""

import re
import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler

from metrics.importing.base import BadInput, Input
from metrics.importing.files import opened
from metrics.importing.sadf import MAGIC
from metrics.importing.snapshots import SnapshotFile
from metrics.importing.sysstat import SysstatFile

MOST_BYTES = 512 << 20
MOST_FILES = 99
"""Django itself stops at a hundred, without a word."""

SPARE_BYTES = 256 << 20
"""So much stays free on the disk of the data folder: the database may be there, too."""

FORGOTTEN_SECONDS = 86_400
LOOKED_AT = 1 << 16
KINDS = {"sysstat": SysstatFile, "snapshots": SnapshotFile}
TOO_LARGE = f"That is more than {MOST_BYTES >> 20} MiB at once."
ELSE = "manage.py backfill reads files of any size on the server itself."
_SADF = re.compile(rb'\s*\{\s*"sysstat"\s*:')
_TYPE = b'"metric_type"'


class Uploaded(NamedTuple):
    """A file as its owner calls it, where it is now, and what is in it."""

    name: str
    path: str
    size: int
    kind: str

    def input(self, now: datetime) -> Input:
        """Return what reads it."""
        return KINDS[self.kind](self.name, self.size, now, self.path)


class Bounded(TemporaryFileUploadHandler):
    """Django's own to a file, up to the bounds; `fault` says which of them was passed."""

    fault = ""

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, *args: Any, **named: Any
    ) -> None:
        """Look at what is announced: nothing is written where it would not fit."""
        self._files = self._given = 0
        free = shutil.disk_usage(settings.PERFWATCH_DATA_DIR).free - SPARE_BYTES
        if content_length > free:
            self.fault = f"There is no room for it in {settings.PERFWATCH_DATA_DIR}."

    def new_file(self, *args: Any, **named: Any) -> None:
        """Begin a file."""
        self._files += 1
        if self._files > MOST_FILES:
            self.fault = f"That are more than {MOST_FILES} files at once."
        self._stop_at_fault()
        super().new_file(*args, **named)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write a portion."""
        self._given += len(raw_data)
        if self._given > MOST_BYTES:
            self.fault = f"{TOO_LARGE} {ELSE}"
        self._stop_at_fault()
        try:
            super().receive_data_chunk(raw_data, start)
        except OSError as error:
            self.fault = f"It cannot be stored in {settings.PERFWATCH_DATA_DIR}: {error.strerror}."
            self._stop_at_fault()

    def _stop_at_fault(self) -> None:
        if self.fault:
            # The rest is read and dropped: a browser shows no answer before it has sent all.
            raise StopUpload(connection_reset=False)


def folder() -> Path:
    """Return the folder for what was uploaded and how far it is."""
    path: Path = settings.PERFWATCH_DATA_DIR / "import"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def kept(files: Sequence[TemporaryUploadedFile]) -> list[Uploaded]:
    """Move what was uploaded into the folder; raise BadInput for what is no file of samples."""
    found = []
    for number, file in enumerate(files):
        name = (file.name or "").replace("\0", "")[:200] or "the file"
        kind = kind_of(name, Path(file.temporary_file_path()), file.size or 0)
        found.append(Uploaded(name, str(folder() / str(number)), file.size or 0, kind))
    for file, one in zip(files, found, strict=True):
        Path(file.temporary_file_path()).rename(one.path)
    return found


def kind_of(name: str, path: Path, size: int) -> str:
    """Return what a file holds, by its content; raise BadInput for anything else."""
    with opened(Input(name, size, str(path))) as file:
        start = file.read(LOOKED_AT)
    if start.startswith(MAGIC) or _SADF.match(start):
        return "sysstat"
    if _TYPE in start:
        return "snapshots"
    what = (
        "it is neither an archive of sysstat, nor JSON of sadf, nor JSON Lines of manage.py export."
        if start
        else "it is empty."
    )
    raise BadInput(name, what, line=1)


def emptied(files: Sequence[Uploaded]) -> None:
    """Delete files; whoever still has one open holds no room with it."""
    for one in files:
        path = Path(one.path)
        if path.is_file():
            path.open("wb").close()
            path.unlink(missing_ok=True)


def sweep() -> None:
    """Delete what an upload left behind that ended with its process."""
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        if path.is_file() and time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
            path.unlink(missing_ok=True)
