"""`manage.py transfer`: everything from SQLite to PostgreSQL, or back."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DatabaseFault

from metrics.lock import Held, lock_file, lock_path
from metrics.management.base import PerfWatchCommand
from metrics.transfer import Progress, Refused, Table, check, copy, finish, verify
from perfwatch_site.databases import described, known, prepared

PROGRESS_SECONDS = 1.0
TARGET = "transfer_target"


class Command(PerfWatchCommand):
    """Progress goes to standard error."""

    help = (
        "Copy everything (snapshots, roll-ups, settings, people, tokens) into another, empty "
        "database, and compare both row by row. PerfWatch has to be stopped. It may be stopped at "
        "any time and started again: it goes on behind the last batch. Nothing is changed here; "
        "set DATABASE_URL to the other database afterwards. "
        "Example: manage.py transfer --to postgres://user:password@host:5432/perfwatch"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option."""
        parser.add_argument(
            "--to",
            required=True,
            metavar="DATABASE_URL",
            help="postgres://user:password@host:5432/name or sqlite:////path/file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; all that can go wrong is said in one line."""
        began = time.monotonic()
        found: list[Table] = []
        try:
            target = prepared(described("--to", options["to"], settings.BASE_DIR))
            refuse_same(target)
            with lock_file(lock_path()), known(TARGET, target):
                call_command("migrate", database=TARGET, verbosity=0)
                check(DEFAULT_DB_ALIAS, TARGET)
                self._follow(copy(DEFAULT_DB_ALIAS, TARGET))
                self._follow(verify(DEFAULT_DB_ALIAS, TARGET, found))
                finish(TARGET)
        except Held as error:
            raise CommandError(f"{error} Stop PerfWatch first (make stop).") from error
        except Refused as error:
            raise CommandError(str(error)) from error
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        except DatabaseFault as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"One of the databases cannot be used: {reason}") from error
        except KeyboardInterrupt:
            raise CommandError("Stopped. Start it again to go on.") from None
        self.stdout.write(f"{'table':28} {'rows':>10}  checksum")
        for table in found:
            self.stdout.write(f"{table.name:28} {table.rows:>10,}  {table.checksum}")
        rows = sum(table.rows for table in found)
        self.stdout.write(
            f"{rows:,} rows are the same in both, after {time.monotonic() - began:.0f} s. "
            "Set DATABASE_URL to the other database and start PerfWatch."
        )

    def _follow(self, steps: Iterator[Progress]) -> None:
        began = shown = time.monotonic()
        first = None
        for step in steps:
            first = step.rows if first is None else first
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                self.stderr.write(progress(step, step.rows - first, shown - began))


def progress(step: Progress, rows: int, seconds: float) -> str:
    """Return phase, share, rate and time left, from the rows that were done in so many seconds."""
    rate = rows / seconds if seconds else 0
    left = f"{(step.total - step.rows) / rate:.0f} s left" if rate else "time left unknown"
    share = 100 * step.rows / max(1, step.total)
    return f"{step.phase} {step.table}: {share:.0f} %, {rate:,.0f} rows per second, {left}"


def refuse_same(target: dict[str, Any]) -> None:
    """Raise Refused where the target is the database that is in use."""
    source = connections[DEFAULT_DB_ALIAS].settings_dict
    names = ("ENGINE", "HOST", "PORT", "NAME")
    if all(str(target.get(name) or "") == str(source.get(name) or "") for name in names):
        raise Refused("--to is the database that is in use (DATABASE_URL).")
