"""`manage.py cleanup`: deletes and folds snapshots by the archive policy, at once."""

import sys
import time
from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseFault
from django.db import OperationalError
from django.utils import timezone

from metrics import retention, sizes
from metrics.archiving import Policy
from metrics.lock import Held
from metrics.management.base import PerfWatchCommand
from metrics.models import ArchivePolicy
from metrics.querysets.snapshots import snapshots
from metrics.rehearsal import Rehearsal, rehearsal

PROGRESS_SECONDS = 1.0
MOST_TRIES = 50


class Command(PerfWatchCommand):
    """Progress goes to standard error."""

    help = (
        "Delete and thin out snapshots by the archive policy, as PerfWatch does every hour by "
        "itself. It may run while PerfWatch runs, be stopped at any time and started again: what "
        "is done stays done, nothing is lost or doubled. It asks first where archiving is switched "
        "off, where --retention-days is shorter than the policy's, and where the clock is far "
        "ahead of the samples. The file on disk shrinks by `manage.py maintain`."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
        parser.add_argument(
            # Kept as text: argparse would not say what is allowed.
            "--retention-days",
            metavar="N",
            help="keep N days this once, instead of the policy's",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell, ask where that is due, and do it."""
        try:
            row = ArchivePolicy.current()
            policy = chosen(retention.policy_of(row), options["retention_days"])
            told = rehearsal(policy, timezone.now(), trusts_clock=True)
            if options["dry_run"]:
                self.stdout.write(summary(told, policy))
                return
            doubts = questions(row, policy, told)
            if doubts and not options["yes"]:
                ask(f"{' '.join(doubts)} {summary(told, policy)}")
            self._clean(policy, told)
        except Held as error:
            raise CommandError(str(error)) from error
        except DatabaseFault as error:
            raise CommandError(
                f"The database cannot be used (DATABASE_URL): {reason_of(error)}"
            ) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. What is done stays done; start it again to go on."
            ) from None

    def _clean(self, policy: Policy, told: Rehearsal) -> None:
        began = shown = time.monotonic()
        before = sizes.used_bytes(told.rows, _row_bytes(told))
        total = told.delete_rows + told.fold_rows + told.shrink_rows
        run, tries = retention.Run(trusts_clock=True), 0
        while not run.is_done:
            try:
                for run in retention.whole_run(run, policy, timezone.now()):  # noqa: B020
                    tries = 0
                    if time.monotonic() - shown > PROGRESS_SECONDS:
                        shown = time.monotonic()
                        self.stderr.write(progress(total, run, shown - began))
            except OperationalError:  # somebody else writes
                tries += 1
                if tries > MOST_TRIES:
                    raise
                time.sleep(0.1)
        left = sizes.count(snapshots())
        freed = max(0, before - sizes.used_bytes(left.rows, _row_bytes(told)))
        self.stdout.write(
            f"{run.deleted} rows deleted, {run.folded} folded, {run.chunks} roll-ups deleted, "
            f"{megabytes(freed)} made free in {time.monotonic() - began:.1f} s."
        )


def reason_of(error: DatabaseFault) -> str:
    """Return the database's own words, and what to do where its disk is full."""
    reason = str(error).strip().partition("\n")[0]
    if "disk is full" in reason or "No space left" in reason:
        reason += ". Deleting needs some room, too: make 100 MB on its disk, then start this again."
    return reason


def chosen(policy: Policy, days: str | None) -> Policy:
    """Return the policy with another number of days; raise CommandError where it is none."""
    if days is None:
        return policy
    if not days.isdecimal() or not 1 <= int(days[:9]) <= ArchivePolicy.MAX_DAYS:
        raise CommandError(
            f"--retention-days must be a whole number from 1 to {ArchivePolicy.MAX_DAYS}, "
            f"not {days[:40]!r}."
        )
    return replace(policy, retention_days=int(days))


def questions(row: ArchivePolicy, policy: Policy, told: Rehearsal) -> list[str]:
    """Return what speaks against doing it without asking."""
    found = []
    if not row.archive_enabled:
        found.append("Archiving is switched off (archive_policy.archive_enabled).")
    if policy.retention_days < row.retention_days:
        found.append(f"The policy keeps {row.retention_days} days, not {policy.retention_days}.")
    now = timezone.now()
    if last := told.witnessed(now):
        found.append(
            f"The clock says {now:%Y-%m-%d %H:%M} UTC, but the samples stored last were taken "
            f"about {last:%Y-%m-%d %H:%M}."
        )
    return found


def ask(question: str) -> None:
    """Go on only after a yes; raise CommandError else."""
    if not sys.stdin or not sys.stdin.isatty():
        raise CommandError(f"{question} Say --yes to go on: nobody is here to ask.")
    sys.stderr.write(f"{question} Go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.")


def summary(told: Rehearsal, policy: Policy) -> str:
    """Return what the next run would do, in words."""
    about = "about " if told.estimates & {"delete_rows", "fold_rows"} else ""
    parts = [f"{about}{told.delete_rows} rows older than {policy.retention_days} days would go"]
    if policy.folds:
        parts.append(
            f"{told.fold_rows} older than {policy.downsample_after_days} days would be folded into "
            f"about {told.fold_into_rows}"
        )
    if told.shrink_rows:
        parts.append(f"about {told.shrink_rows} more would go to stay below {policy.max_mb} MB")
    text = f"Of {told.rows} rows {', '.join(parts)}; about {megabytes(told.freed_bytes)} made free."
    return text


def progress(total: int, run: retention.Run, seconds: float) -> str:
    """Return share, rate and time left."""
    done = run.deleted + run.folded
    rate = done / seconds
    left = f"{max(0, total - done) / rate:.0f} s left" if rate and total > done else "nearly done"
    share = min(99, 100 * done // total) if total else 99
    return f"{share} %, {rate:.0f} rows per second, {left} ({run.phase})"


def megabytes(size: float) -> str:
    """Return bytes in words."""
    return f"{size / sizes.MB:.1f} MB"


def _row_bytes(told: Rehearsal) -> float:
    return told.bytes / told.rows if told.rows else 0.0
