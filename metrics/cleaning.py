"""A clean-up that a page drives: one step for each poll, so it needs no worker.

How far it is travels through the browser, signed. The rows themselves show what is done, so a page
that is closed or loaded again loses nothing.
"""

import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from django.core import signing
from django.db import OperationalError

from metrics import retention, sizes
from metrics.lock import Held
from metrics.patience import impatient
from metrics.querysets.snapshots import snapshots
from metrics.rehearsal import rehearsal
from metrics.retention import Phase, Run

SALT = "perfwatch.cleaning"
LONGEST_SECONDS = 86_400
BUSY = "Somebody else writes to the database just now. Trying again."
OTHER = "Another clean-up is under way: the hourly one, or another page. This one waits for it."


class Stale(ValueError):
    """What the browser sent is not ours, or is too old."""


@dataclass(frozen=True)
class Cleaning:
    """A run, the rows that it began with, and what they and the roll-ups took then.

    `began` is a second of the epoch; `obstacle` says why the last step was not done.
    """

    run: Run
    began: float
    total: int
    bytes_before: int
    row_bytes: float
    freed: int = 0
    seconds: float = 0
    obstacle: str = ""

    @property
    def share(self) -> int:
        """Return how much is done, in percent."""
        if self.run.is_done:
            return 100
        return min(99, 100 * self.done // self.total) if self.total else 99

    @property
    def done(self) -> int:
        """Return how many rows are deleted or folded."""
        return self.run.deleted + self.run.folded

    @property
    def lasted(self) -> float:
        """Return the seconds since it began; 0 where the clock was set back."""
        return max(0.0, time.time() - self.began)

    @property
    def seconds_left(self) -> float | None:
        """Return how long the rest will last, by what was done so far."""
        left = self.total - self.done
        return left * self.lasted / self.done if self.done and left > 0 else None

    def signed(self) -> str:
        """Return what `Cleaning.of` reads."""
        return signing.dumps(asdict(self), salt=SALT)

    @classmethod
    def of(cls, text: str) -> "Cleaning":
        """Return what `signed` wrote; raise Stale for anything else."""
        try:
            value: dict[str, Any] = signing.loads(text, salt=SALT, max_age=LONGEST_SECONDS)
            return cls(**value | {"run": Run.of(value["run"])})
        except (signing.BadSignature, KeyError, TypeError, ValueError) as error:
            raise Stale("This clean-up is too old to go on. Start it again.") from error


def begin(now: datetime) -> Cleaning:
    """Return a clean-up that has done nothing yet. Whoever starts one was asked about the clock."""
    told = rehearsal(retention.current_policy(), now, trusts_clock=True)
    row = told.bytes / told.rows if told.rows else 0.0
    total = told.delete_rows + told.fold_rows + told.shrink_rows
    before = sizes.used_bytes(told.rows, row)
    return Cleaning(Run(trusts_clock=True), time.time(), total, before, row)


def advanced(cleaning: Cleaning, now: datetime) -> Cleaning:
    """Do one step, by the policy that is set at this moment; never waits for others."""
    policy = retention.current_policy()
    run = cleaning.run
    if run.phase is Phase.SHRINK and run.over:
        # A page that is sent again must not delete more than is too much by now.
        excess = sizes.excess(policy.max_mb) if policy.max_mb else 0
        run = replace(run, over=min(run.over, excess))
    try:
        with impatient():
            run = retention.step(run, policy, now)
    except Held:
        return replace(cleaning, obstacle=OTHER)
    except OperationalError:
        return replace(cleaning, obstacle=BUSY)
    cleaning = replace(cleaning, run=run, obstacle="")
    return _ended(cleaning) if run.is_done else cleaning


def advanced_for(cleaning: Cleaning, seconds: float, now: datetime) -> Cleaning:
    """Do steps for a while, letting others write in between."""
    until = time.monotonic() + seconds
    while not cleaning.run.is_done and (began := time.monotonic()) < until:
        cleaning = advanced(cleaning, now)
        time.sleep(0.2 if cleaning.obstacle else min(time.monotonic() - began, 0.02))
    return cleaning


def _ended(cleaning: Cleaning) -> Cleaning:
    left = sizes.count(snapshots()).rows
    freed = cleaning.bytes_before - sizes.used_bytes(left, cleaning.row_bytes)
    return replace(cleaning, freed=max(0, freed), seconds=cleaning.lasted)
