"""A whole import: everything is checked first, then written in batches, then rolled up.

Nothing is remembered about how far an import is: what is stored already is seen by the rows
themselves, so the same import begun anew goes on where it was stopped.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from metrics import rebuild
from metrics.archiving import Policy
from metrics.importing.base import BadInput, Input, Ready
from metrics.importing.writing import Stored, store
from metrics.lock import only_one
from metrics.models import ArchivePolicy
from metrics.retention import current_policy

JOB = "import"
MOST_ROWS = 500
LONGEST = timedelta(days=1)
"""So much time one batch spans: what is stored in it is looked up first."""


class Portion(NamedTuple):
    """The next rows of an input, or what is bad behind them, and how many items were read."""

    rows: list[Ready]
    bad: BadInput | None
    items: int


@dataclass
class Summary:
    """What an import did; `first` and `last` are of the rows that were added."""

    added: int = 0
    present: int = 0
    covered: int = 0
    bad: int = 0
    sources: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    def count(self, rows: Sequence[Ready], stored: Stored) -> None:
        """Add what became of a portion."""
        self.added += stored.added
        self.present += stored.present
        self.covered += stored.covered
        if stored.added:
            times = [row.timestamp for row in rows]
            self.first = min([*times, *([self.first] if self.first else [])])
            self.last = max([*times, *([self.last] if self.last else [])])
            self.sources.update(row.document["sampler"]["source"] for row in rows)


class Progress(NamedTuple):
    """How far an import is: the phase, the share of it that is done, and the rows in it so far.

    `bad` is what was left out just now.
    """

    phase: str
    share: float
    rows: int
    bad: BadInput | None = None


def portions(input: Input, skip: int = 0) -> Generator[Portion, None, None]:
    """Yield an input in portions of a batch each, without its first `skip` items.

    A page that imports in small steps takes the next one of these with each step, and `store`s it.
    """
    rows: list[Ready] = []
    count = skip
    for item in islice(input.items(), skip, None):
        is_bad = isinstance(item, BadInput)
        if rows and (is_bad or len(rows) == MOST_ROWS or _is_far(item, rows[0])):
            yield Portion(rows, None, count)
            rows = []
        count += 1
        if isinstance(item, BadInput):
            yield Portion([], item, count)
        else:
            rows.append(item)
    if rows:
        yield Portion(rows, None, count)


def run(
    inputs: Sequence[Input], summary: Summary, *, skip_bad: bool = False, overlapping: bool = False
) -> Iterator[Progress]:
    """Import everything and count it in `summary`.

    Without `skip_bad` the first bad thing raises BadInput before anything is written. With
    `overlapping` rows are taken even where PerfWatch has samples of its own. Raises lock.Held where
    another import is under way.
    """
    with only_one(JOB):
        if not skip_bad:
            for share, rows, portion in _through(inputs):
                if portion.bad:
                    raise portion.bad
                yield Progress("checking", share, rows)
        for share, rows, portion in _through(inputs, summary, overlapping=overlapping):
            if portion.bad and not skip_bad:
                raise portion.bad
            summary.bad += portion.bad is not None
            yield Progress("writing", share, rows, portion.bad)
    yield from rolled_up()


def rolled_up() -> Iterator[Progress]:
    """Bring the roll-ups up to date."""
    total = 0
    for left in rebuild.caught_up():
        total = max(total, left)
        yield Progress("rolling up", 1 - left / total if total else 0.0, 0)


def warnings(summary: Summary, now: datetime) -> list[str]:
    """Return what the archive policy will do with the rows that were added."""
    policy, row = current_policy(), ArchivePolicy.current()
    if summary.first is None:
        return []
    when = (
        "within the hour" if row.archive_enabled else "by `manage.py cleanup`, as archiving is off"
    )
    return [f"{text}, {when}." for text in _fates(policy, row, summary.first, now)]


def _fates(policy: Policy, row: ArchivePolicy, first: datetime, now: datetime) -> Iterator[str]:
    age = now - first
    if age > timedelta(days=policy.retention_days):
        yield (
            f"What is older than {policy.retention_days} days will be deleted "
            "(archive_policy.retention_days; raise it before if it shall stay)"
        )
    if policy.folds and age > timedelta(days=policy.downsample_after_days):
        yield (
            f"What is older than {policy.downsample_after_days} days will become one row per "
            f"{row.downsample_interval}"
        )


def _through(
    inputs: Sequence[Input], summary: Summary | None = None, *, overlapping: bool = False
) -> Iterator[tuple[float, int, Portion]]:
    """Yield each portion with the share that is done and the rows so far; write it to count it."""
    total = sum(input.size for input in inputs) or 1
    before = rows = 0
    for input in inputs:
        for portion in portions(input):
            if summary is not None and portion.rows:
                fills = input.fills_gaps and not overlapping
                summary.count(portion.rows, store(portion.rows, fills_gaps=fills))
            rows += len(portion.rows)
            yield (before + input.read) / total, rows, portion
        before += input.size


def _is_far(item: Ready | BadInput, first: Ready) -> bool:
    return isinstance(item, Ready) and abs(item.timestamp - first.timestamp) > LONGEST
