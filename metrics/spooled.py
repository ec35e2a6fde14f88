"""What the sampler says about samples that the database does not take, for pages to show.

It says it in a small file, because the database is what is missing. The file keeps its length and
its place: so it can be written while the disk is full.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

NAME = "spool-status.json"
LENGTH = 512


class Spooled(NamedTuple):
    """How many samples wait on the disk and in memory, since when, why; how many were dropped.

    `trouble` is why no sample comes at all.
    """

    samples: int = 0
    since: datetime | None = None
    reason: str = ""
    dropped: int = 0
    trouble: str = ""

    def words(self) -> str:
        """Return it as sentences, or "" where nothing waits and nothing is wrong."""
        if not self.samples:
            return self.trouble
        text = f"{self.samples} sample{'' if self.samples == 1 else 's'} spooled"
        if self.since:
            text += f" since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        text += f": {self.reason}." if self.reason else ", which are being written now."
        if self.dropped:
            text += f" {self.dropped} had to be dropped."
        return f"{text} {self.trouble}".strip()


def tell(what: Spooled, directory: Path) -> None:
    """Say it to all processes; raises OSError."""
    values = what._asdict() | {"since": what.since and what.since.isoformat()}
    text = json.dumps(values).ljust(LENGTH - 1) + "\n"
    path = directory / NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, text.encode(), 0)
    finally:
        os.close(descriptor)


def spooled() -> Spooled:
    """Return what was said last; nothing where this process cannot read it."""
    path = settings.PERFWATCH_DATA_DIR / NAME
    try:
        values = json.loads(path.read_text())
        since = values["since"] and datetime.fromisoformat(values["since"])
        return Spooled(
            int(values["samples"]),
            since,
            str(values["reason"]),
            int(values["dropped"]),
            str(values["trouble"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Spooled()
