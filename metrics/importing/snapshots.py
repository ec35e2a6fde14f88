"""Our own JSON Lines, as `manage.py export --format jsonl` writes them, compressed or not."""

import json
from collections.abc import Iterator
from datetime import datetime

from metrics.collectors.base import Json
from metrics.importing.base import (
    MOST_RECORD,
    BadInput,
    Input,
    Ready,
    marked,
    source_name,
)
from metrics.importing.checks import Wrong, check, shown, time_of
from metrics.importing.files import opened
from metrics.models import AGGREGATED

KIND = "snapshots"


class SnapshotFile(Input):
    """A file with one snapshot a line."""

    def __init__(self, name: str, size: int, now: datetime, path: str = "") -> None:
        super().__init__(name, size, path)
        self._now = now

    def items(self) -> Iterator[Ready | BadInput]:
        """Yield the snapshots."""
        line = 0
        try:
            with opened(self) as file:
                while text := file.readline(MOST_RECORD):
                    line += 1
                    if len(text) >= MOST_RECORD:
                        what = f"it is longer than {MOST_RECORD >> 20} MiB: that is no snapshot."
                        raise BadInput(self.name, what, line=line, is_end=True)
                    if not text.isspace():
                        yield self._item(text, line)
        except BadInput as error:
            yield error

    def _item(self, text: bytes, line: int) -> Ready | BadInput:
        try:
            return snapshot(json.loads(text), self._now)
        except Wrong as error:
            return BadInput(self.name, str(error), line=line, field=error.field)
        except RecursionError:
            what = "it is nested too deeply."
        except UnicodeDecodeError:
            what = "it is no UTF-8."
        except json.JSONDecodeError as error:
            what = f"no JSON: {error.msg}, column {error.colno}."
            if not text.endswith(b"\n"):
                what = "the file ends in the middle of it."
        except ValueError:
            what = "a number in it is too long."
        return BadInput(self.name, what, line=line)


def snapshot(said: Json, now: datetime) -> Ready:
    """Return a line's row; raise Wrong where it is none of ours."""
    if not isinstance(said, dict):
        raise Wrong("", f"an object is expected, not {shown(said)}.")
    kind = said.get("metric_type")
    if kind != AGGREGATED:
        raise Wrong("metric_type", f"{shown(kind)} is not {AGGREGATED!r}: no snapshot of ours.")
    timestamp = time_of(said.get("timestamp"), "timestamp", now)
    document: Json = said.get("metric_data")
    check(document)
    host = document.get("host")
    name = host.get("name") if isinstance(host, dict) else None
    return Ready(timestamp, marked(document, source_name(KIND, name)))
