"""`manage.py backfill`: makes stored data anew, or brings in what others have stored."""

import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFault
from django.utils import timezone

from metrics import rebuild
from metrics.moments import BadMoment, parse_moment

PROGRESS_SECONDS = 1.0


class Command(BaseCommand):
    """One sub-command for each kind of data."""

    help = "Make stored data anew. `manage.py backfill KIND --help` says more about each kind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the kinds."""
        kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
        rollups = kinds.add_parser(
            "rollups",
            help="make the roll-ups of a range anew from the snapshots",
            description=(
                "Make the roll-ups of a range anew from the snapshots that are stored. PerfWatch "
                "does this by itself; this command is for rows that were changed or deleted by "
                "other means, and to have it done at once. It may run while PerfWatch runs, be "
                "stopped at any time and started again; what else was waiting to be "
                "rolled up is done, too. Times: 2026-03-01, 2026-03-01T12:00, "
                "now-7d, or milliseconds of the epoch; without an offset they are UTC."
            ),
        )
        # Kept as text: argparse would answer a bad value with its usage and exit status 2.
        rollups.add_argument("--from", dest="start", metavar="TIME", help="default: the oldest")
        rollups.add_argument("--to", dest="end", metavar="TIME", default="now", help="default: now")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, with progress on standard error where that is a terminal or after 1 s."""
        now = timezone.now()
        try:
            start = parse_moment(options["start"], now) if options["start"] else None
            end = parse_moment(options["end"], now)
        except BadMoment as error:
            raise CommandError(f"This is no time: {error}") from error
        if start is not None and start >= end:
            raise CommandError("--from must be before --to.")
        try:
            self._rebuild(start, end)
        except DatabaseFault as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"The database cannot be used (DATABASE_URL): {reason}") from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. What is left, PerfWatch does by itself.") from None

    def _rebuild(self, start: datetime | None, end: datetime) -> None:
        began = told = time.monotonic()
        total = 0
        for left in rebuild.rebuild(start, end):
            total = max(total, left)
            if time.monotonic() - told > PROGRESS_SECONDS and total:
                told = time.monotonic()
                self.stderr.write(progress(total, left, told - began))
        seconds = time.monotonic() - began
        self.stdout.write(f"All roll-ups are up to date, after {seconds:.0f} s.")


def progress(total: int, left: int, seconds: float) -> str:
    """Return share, rate and time left of a job of `total` seconds of data."""
    done = total - left
    rate = done / seconds
    more = f"{left / rate:.0f} s left" if rate else "time left unknown"
    speed = f"{rate / 3600:.1f} hours of roll-ups per second"
    return f"{100 * done / total:.0f} %, {speed}, {more}"
