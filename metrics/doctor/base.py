"""What a look finds: one line with a level, and a remedy where one is needed."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

LOCAL = {"", "localhost", "127.0.0.1", "::1"}


class Level(StrEnum):
    """How much a finding matters; only the last one makes the exit status 1."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """One line: what was looked at, what it says, and the remedy where one is needed."""

    section: str
    name: str
    level: Level
    text: str
    remedy: str = ""


def is_healthy(found: Iterable[Finding]) -> bool:
    """Return whether nothing has failed."""
    return all(one.level is not Level.FAILED for one in found)
