"""`manage.py backfill`: makes stored data anew, or brings in what others have stored."""

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import Error as DatabaseFault
from django.utils import timezone

from metrics import rebuild
from metrics.importing.base import BadInput, Input
from metrics.importing.demo import DemoDays
from metrics.importing.demo_host import SOURCE
from metrics.importing.files import size_of
from metrics.importing.first_perfwatch import FirstPerfWatch
from metrics.importing.origins import sources
from metrics.importing.people import bring, people
from metrics.importing.running import JOB, Progress, Summary, rolled_up, run, warnings
from metrics.importing.sadf import archives
from metrics.importing.snapshots import SnapshotFile
from metrics.importing.sysstat import SysstatFile
from metrics.importing.writing import remove
from metrics.lock import Held, only_one
from metrics.management.base import PerfWatchCommand
from metrics.moments import BadMoment, parse_moment
from metrics.querysets.snapshots import snapshots
from perfwatch_site.databases import described, known, prepared

PROGRESS_SECONDS = 1.0
MOST_TOLD = 20
MOST_DAYS = 366
FIRST = "first_perfwatch"
IMPORT = (
    " Nothing is written before all of it has been checked. It may run while PerfWatch runs, be "
    "stopped at any time and started again: what is stored already is left out. docs/backfill.md "
    "says more."
)


class Command(PerfWatchCommand):
    """One sub-command for each kind of data; progress goes to standard error."""

    help = (
        "Make stored data anew, or bring in what others have stored. "
        "`manage.py backfill KIND --help` says more about each kind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the kinds; values are kept as text: argparse would not say what is allowed."""
        parser.add_argument(
            "--remove",
            metavar="SOURCE",
            help="delete what was imported from a source: demo, sysstat, sysstat:web1, …",
        )
        kinds = parser.add_subparsers(dest="kind", metavar="KIND")
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
        rollups.add_argument("--from", dest="start", metavar="TIME", help="default: the oldest")
        rollups.add_argument("--to", dest="end", metavar="TIME", default="now", help="default: now")
        sysstat = kinds.add_parser(
            "sysstat",
            help="bring in archives of sar",
            description=(
                "Bring in sysstat's archives (/var/log/sysstat, /var/log/sa), or what "
                "`sadf -j FILE -- -A -F MOUNT` printed elsewhere, compressed or not. Samples of "
                "times that PerfWatch has sampled itself are left out." + IMPORT
            ),
        )
        exported = kinds.add_parser(
            "snapshots",
            help="bring in what `manage.py export --format jsonl` wrote",
            description="Bring in snapshots in JSON Lines, gzipped or not." + IMPORT,
        )
        invented = kinds.add_parser(
            "demo",
            help="invent days, to look around",
            description=(
                "Invent days of a host that is not there, before the oldest real sample: a rhythm "
                "of days and weeks, and incidents with names. --remove takes them away again."
            ),
        )
        invented.add_argument("days", nargs="?", metavar="DAYS", help=f"1 to {MOST_DAYS}")
        invented.add_argument(
            "--remove", dest="remove_demo", action="store_true", help="away with it"
        )
        first = kinds.add_parser(
            "perfwatch",
            help="bring in the database of the first PerfWatch",
            description=(
                "Bring in the samples of the first PerfWatch (FastAPI and Vue), which kept a row "
                "for each collector. Nothing is changed there." + IMPORT
            ),
        )
        first.add_argument("url", metavar="DATABASE_URL", help="postgres://user:password@host/name")
        first.add_argument(
            "--with-users",
            action="store_true",
            help="and its people, as viewers, who keep their passwords",
        )
        for one in (sysstat, first):
            one.add_argument(
                "--overlapping",
                action="store_true",
                help="bring in samples also where PerfWatch has its own",
            )
        for one in (sysstat, exported, first):
            one.add_argument("--skip-bad", action="store_true", help="leave out what is bad")
        for one in (sysstat, exported):
            one.add_argument("paths", nargs="+", metavar="FILE", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; all that can go wrong is said in one line."""
        do = self._chosen(options)
        try:
            with one_line():
                do(options)
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. What is done stays done; start it again to go on."
            ) from None

    def _chosen(self, options: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        if options["remove"] is not None:
            return self._remove
        kind = options["kind"]
        if kind is None:
            raise CommandError("Say what to bring in: manage.py backfill --help")
        if options.get("remove_demo"):
            options["remove"] = SOURCE
            return self._remove
        do: Callable[[dict[str, Any]], None] = getattr(self, f"_{kind}")
        return do

    def _rollups(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        try:
            start = parse_moment(options["start"], now) if options["start"] else None
            end = parse_moment(options["end"], now)
        except BadMoment as error:
            raise CommandError(f"This is no time: {error}") from error
        if start is not None and start >= end:
            raise CommandError("--from must be before --to.")
        self._rebuild(start, end)

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

    def _sysstat(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        paths = [one for path in options["paths"] for one in archives(path)]
        self._import([SysstatFile(str(one), size_of(one), now) for one in paths], options)

    def _snapshots(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        files = [SnapshotFile(str(one), size_of(one), now) for one in options["paths"]]
        self._import(files, options)

    def _perfwatch(self, options: dict[str, Any]) -> None:
        url = options["url"].replace("+asyncpg", "").replace("+psycopg", "")
        try:
            database = prepared(described("DATABASE_URL", url, settings.BASE_DIR))
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        with known(FIRST, database):
            found = people(FIRST) if options["with_users"] else []
            self._import([FirstPerfWatch(FIRST, timezone.now())], options)
            if options["with_users"]:
                names = ", ".join(bring(found)) or "nobody who is not known already"
                self.stdout.write(f"People: {names}.")

    def _demo(self, options: dict[str, Any]) -> None:
        days = options["days"] or ""
        if not (days.isdecimal() and 1 <= int(days[:9]) <= MOST_DAYS):
            raise CommandError(f"DAYS is a whole number from 1 to {MOST_DAYS}.")
        invented = DemoDays(int(days), snapshots().first_real_moment() or timezone.now())
        self._import([invented], options | {"skip_bad": True})
        for at, incident in invented.incidents():
            self.stdout.write(f"{at:%Y-%m-%d %H:%M} UTC, {incident.minutes} min: {incident.name}")

    def _import(self, inputs: Sequence[Input], options: dict[str, Any]) -> None:
        began = time.monotonic()
        summary = Summary()
        steps = run(
            inputs,
            summary,
            skip_bad=options.get("skip_bad", False),
            overlapping=options.get("overlapping", False),
        )
        try:
            self._follow(steps)
        except BadInput as error:
            written = f"{summary.added:,} rows were" if summary.added else "Nothing was"
            hint = f"{written} written; --skip-bad leaves out what is bad."
            raise CommandError(f"{error} {hint}") from error
        for text in told(summary, len(inputs), time.monotonic() - began):
            self.stdout.write(text)
        for text in warnings(summary, timezone.now()):
            self.stdout.write(text)
        if summary.bad and not summary.added and not summary.present and not summary.covered:
            raise CommandError("Nothing could be imported.")

    def _follow(self, steps: Iterator[Progress]) -> None:
        """Go through the steps and tell how far they are, once a second."""
        shown = time.monotonic()
        phase, began, bad = "", shown, 0
        for step in steps:
            if step.phase != phase:
                # What is told at once has no rate yet.
                phase, began = step.phase, time.monotonic()
                shown = began
            if step.bad is not None:
                bad += 1
                if bad <= MOST_TOLD:
                    self.stderr.write(f"Left out: {step.bad}")
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                self.stderr.write(step_text(step, shown - began))

    def _remove(self, options: dict[str, Any]) -> None:
        source = options["remove"]
        began = shown = time.monotonic()
        rows = 0
        with only_one(JOB):
            for count in remove(source):
                rows += count
                if time.monotonic() - shown > PROGRESS_SECONDS:
                    shown = time.monotonic()
                    self.stderr.write(f"{rows:,} rows, {rows / (shown - began):,.0f} per second")
        if not rows:
            there = ", ".join(f"{one.name} ({one.rows:,} rows)" for one in sources())
            raise CommandError(
                f"Nothing was imported from {source!r}. " + (f"There is: {there}." if there else "")
            )
        self._follow(rolled_up())
        seconds = time.monotonic() - began
        self.stdout.write(f"Removed {rows:,} rows of {source} in {seconds:.0f} s.")


@contextmanager
def one_line() -> Iterator[None]:
    """Say in one line what a person can cause."""
    try:
        yield
    except BadInput as error:
        raise CommandError(str(error)) from error
    except Held as error:
        raise CommandError(f"{error} Wait until it is done.") from error
    except DatabaseFault as error:
        reason = str(error).strip().partition("\n")[0]
        raise CommandError(f"The database cannot be used (DATABASE_URL): {reason}") from error


def progress(total: int, left: int, seconds: float) -> str:
    """Return share, rate and time left of a job of `total` seconds of data."""
    done = total - left
    rate = done / seconds
    more = f"{left / rate:.0f} s left" if rate else "time left unknown"
    speed = f"{rate / 3600:.1f} hours of roll-ups per second"
    return f"{100 * done / total:.0f} %, {speed}, {more}"


def step_text(step: Progress, seconds: float) -> str:
    """Return phase, share, rate and time left."""
    share = min(step.share, 1.0)
    left = f"{seconds / share - seconds:.0f} s left" if share > 0 else "time left unknown"
    rate = f"{step.rows / seconds:,.0f} rows per second, " if step.rows and seconds else ""
    return f"{step.phase}: {100 * share:.0f} %, {rate}{left}"


def told(summary: Summary, inputs: int, seconds: float) -> Iterator[str]:
    """Yield what an import did, in words."""
    files = f"{inputs} files" if inputs > 1 else "1 file"
    yield f"Imported {summary.added:,} rows of {files} in {seconds:.1f} s."
    if summary.added:
        yield (
            f"They are of {summary.first:%Y-%m-%d %H:%M} to {summary.last:%Y-%m-%d %H:%M} UTC; "
            f"source: {', '.join(sorted(summary.sources))} (backfill --remove SOURCE deletes them)."
        )
    if summary.present:
        yield f"{summary.present:,} rows were stored already."
    if summary.covered:
        yield (
            f"{summary.covered:,} rows were left out because PerfWatch has samples of its own of "
            "their time; --overlapping takes them, too."
        )
    if summary.bad:
        yield f"{summary.bad:,} bad ones were left out."
