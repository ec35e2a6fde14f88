"""`manage.py maintain`: the daily, weekly and monthly care of the tables."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseFault
from django.utils import timezone

from metrics import maintenance
from metrics.lock import Held
from metrics.management.base import PerfWatchCommand
from metrics.management.commands.cleanup import ask, megabytes, reason_of


class Command(PerfWatchCommand):
    """One job each."""

    help = (
        "vacuum: make room that deleted rows leave usable again, and statistics new (VACUUM "
        "ANALYZE; on SQLite free pages go back to the file system). PerfWatch does it every day. "
        "reindex: write the indexes anew (REINDEX CONCURRENTLY). PerfWatch does it every week. "
        "compact: write the tables anew without free room (VACUUM FULL; on SQLite VACUUM). Only by "
        "hand: it needs room for a copy and locks the tables; samples that are taken meanwhile are "
        "spooled and written afterwards."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the job."""
        parser.add_argument("job", metavar="vacuum|reindex|compact")
        parser.add_argument("--yes", action="store_true", help="do not ask before compact")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the job, asking first where it locks."""
        job = options["job"]
        if job not in maintenance.JOBS:
            raise CommandError(f"There is no {job!r}: vacuum, reindex or compact.")
        try:
            if job == "compact":
                self._may_compact(ask_first=not options["yes"])
            result = maintenance.do(job, timezone.now())
        except Held as error:
            raise CommandError(str(error)) from error
        except DatabaseFault as error:
            raise CommandError(
                f"The database did not do it (DATABASE_URL): {reason_of(error)}"
            ) from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Nothing is lost.") from None
        self.stdout.write(
            f"{job} took {result.seconds:.1f} s; on disk {megabytes(result.before)} before, "
            f"{megabytes(result.after)} now."
        )

    def _may_compact(self, *, ask_first: bool) -> None:
        need = maintenance.need()
        if need.free is not None and need.free < need.bytes:
            raise CommandError(
                f"It needs {megabytes(need.bytes)} of free room beside the database, and there "
                f"are only {megabytes(need.free)}."
            )
        if ask_first:
            ask(
                f"It needs up to {megabytes(need.bytes)} of free room on the database's disk. "
                f"{need.lock} until it is done; samples are kept meanwhile."
            )
