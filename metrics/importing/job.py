"""An import or a removal that a page drives, and the file that says how far it is.

There is one at a time; the file is beside what was uploaded.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from metrics.importing.running import Summary
from metrics.importing.uploads import FORGOTTEN_SECONDS, Uploaded, emptied, folder, sweep
from metrics.querysets.values import LOWEST_ID


class Phase(StrEnum):
    """What a job does; an import the first two, a removal the third."""

    CHECK = "check"
    WRITE = "write"
    REMOVE = "remove"
    ROLL_UP = "roll up"
    DONE = "done"
    REFUSED = "refused"


ENDS = (Phase.DONE, Phase.REFUSED)


@dataclass(frozen=True)
class Job:
    """An import of `files` or the removal of a `source`, and how far it is.

    `file` is the number of the file it is at, `items` how many rows and bad things of it are done,
    `rows` how many rows of the phase; `after` the id that a removal is at. `told` names the first
    bad things that were left out. `began`, `phase_began` and `stepped` are seconds of the epoch.
    """

    id: str
    phase: Phase
    person: int
    who: str
    began: float
    phase_began: float
    stepped: float
    files: tuple[Uploaded, ...] = ()
    skip_bad: bool = False
    source: str = ""
    total: int = 0
    after: int = LOWEST_ID
    file: int = 0
    items: int = 0
    rows: int = 0
    share: float = 0.0
    summary: Summary = field(default_factory=Summary)
    told: tuple[str, ...] = ()
    fault: str = ""
    obstacle: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left to do."""
        return self.phase in ENDS

    @property
    def name(self) -> str:
        """Return what it is about: a file, or a source."""
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return self.source or f"{self.files[0].name}{more}"

    def as_json(self) -> str:
        """Return what `Job.of` reads."""
        value = asdict(self) | {"files": [one._asdict() for one in self.files]}
        value["summary"]["sources"] = sorted(self.summary.sources)
        return json.dumps(value, default=datetime.isoformat)

    @classmethod
    def of(cls, text: str) -> "Job":
        """Return what `as_json` wrote; raise ValueError, KeyError or TypeError for nonsense."""
        value: dict[str, Any] = json.loads(text)
        said = value["summary"]
        for name in ("first", "last"):
            said[name] = datetime.fromisoformat(said[name]) if said[name] else None
        said["sources"] = set(said["sources"])
        return cls(
            **value
            | {
                "phase": Phase(value["phase"]),
                "files": tuple(Uploaded(**one) for one in value["files"]),
                "summary": Summary(**said),
                "told": tuple(value["told"]),
            }
        )


def current() -> Job | None:
    """Return the job that is under way, or the last one's result; what is forgotten is deleted."""
    sweep()
    try:
        job = Job.of(_state().read_text())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):  # cut off, or another version's
        _state().unlink(missing_ok=True)
        return None
    if time.time() - job.stepped > FORGOTTEN_SECONDS:
        emptied(job.files)
        _state().unlink(missing_ok=True)
        return None
    return job


def _state() -> Path:
    return folder() / "job.json"


def save(job: Job) -> None:
    """Write how far a job is; whoever reads meanwhile gets what was before."""
    path = _state().with_suffix(".new")
    path.write_text(job.as_json())
    path.replace(_state())
