"""What a source of imported rows is made of. Pure."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from metrics.collectors import COLLECTORS, empty
from metrics.collectors.base import Document

RATIO, LEAST_BYTES = 300, 256 << 20
MOST_RECORD = 16 << 20
MOST_DEPTH = 12
LONGEST_NAME = 60

PARTS = tuple(collector.name for collector in COLLECTORS)
_EMPTY = json.dumps({collector.name: empty(collector.fields) for collector in COLLECTORS})


class BadInput(Exception):
    """Something that cannot be imported; the message names file, line and field.

    With `is_end` nothing behind it can be read.
    """

    def __init__(
        self, file: str, what: str, *, line: int = 0, field: str = "", is_end: bool = False
    ) -> None:
        place = [file, f"line {line}" if line else "", field[:200]]
        super().__init__(f"{', '.join(part for part in place if part)}: {what}")
        self.file, self.line, self.field, self.is_end = file, line, field, is_end


class Ready(NamedTuple):
    """A row as it will be stored; its document says its source."""

    timestamp: datetime
    document: Document


class Input:
    """One file, or whatever else rows come from.

    `name` is what people call it, `path` where a file is, if that is not the same. `read` says how
    many of its `size` bytes (or of another measure) have been gone through. Where
    `fills_gaps` rows are left out whose time PerfWatch has sampled itself.
    """

    fills_gaps = False

    def __init__(self, name: str, size: int, path: str = "") -> None:
        self.name, self.size, self.read = name, size, 0
        self.path = path or name

    def items(self) -> Iterator[Ready | BadInput]:
        """Yield the rows, and what is bad in their places; from the beginning at each call."""
        raise NotImplementedError


def empty_document() -> Document:
    """Return a document that says nothing; reading it anew is quicker than copying it."""
    document: Document = json.loads(_EMPTY)
    return document


def marked(document: Document, source: str) -> Document:
    """Have a document say where it comes from, if it does not yet."""
    sampler = document.setdefault("sampler", {})
    if not isinstance(sampler.get("source"), str):
        sampler["source"] = source
    return document


def source_name(kind: str, host: object) -> str:
    """Return the source of a host's rows: `sysstat:web1`, or `sysstat` without a host's name."""
    text = "".join(sign for sign in str(host or "") if sign.isprintable() and sign not in " ,'\"")
    return f"{kind}:{text[:LONGEST_NAME]}" if text else kind
