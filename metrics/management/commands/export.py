"""`manage.py export`: writes stored data to a file or to standard output."""

import io
import os
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseFault
from django.utils import timezone

from metrics.export import FORMATS, MOST_VALUES, POINTS, ROWS, Wanted, exported, points_for, shown
from metrics.history import UnknownField
from metrics.management.base import PerfWatchCommand
from metrics.moments import BadMoment, parse_moment
from metrics.querysets.snapshots import snapshots
from metrics.rebuild import oldest

PROGRESS_SECONDS = 1.0
Write = Callable[[str], Any]
# 128 + SIGINT, SIGPIPE and SIGTERM, as shells say it
_INTERRUPTED, _NOBODY_READS, _TERMINATED = 130, 141, 143


class Command(PerfWatchCommand):
    """Progress goes to standard error."""

    help = (
        "Write what is stored: as CSV or JSON the points of series (mean, minimum, maximum) or "
        "their samples, as JSON Lines the snapshots as they are. Times: 2026-03-01, "
        "2026-03-01T12:00, now-7d, or milliseconds of the epoch; without an offset they are UTC. "
        "It may run while PerfWatch runs. docs/export.md describes the files. "
        "Example: manage.py export --from now-7d --format jsonl --output week.jsonl"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options; kept as text: argparse would not say what is allowed."""
        parser.add_argument("--from", dest="start", metavar="TIME", help="default: the oldest")
        parser.add_argument("--to", dest="end", metavar="TIME", default="now", help="default: now")
        parser.add_argument("--format", default=FORMATS[0], help="csv (default), json or jsonl")
        parser.add_argument(
            "--output", metavar="FILE", help="written completely or not at all; default: printed"
        )
        parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
        parser.add_argument(
            "--field",
            action="append",
            default=[],
            metavar="NAME",
            help="a series, such as cpu.usage_percent; may be repeated; default: those of all "
            "charts of the history page; not with jsonl",
        )
        parser.add_argument(
            "--rows", default=ROWS[0], help="points (default) or samples; not with jsonl"
        )
        parser.add_argument(
            "--points", metavar="N", help=f"at most so many points (default {POINTS})"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; an end by Ctrl-C or by who reads is quiet."""
        try:
            now = timezone.now()
            wanted = self._wanted(options, now)
            output = options["output"]
            target = _writing(Path(output), force=options["force"]) if output else _printing(self)
            with target as write:
                self._write(wanted, write, now)
        except UnknownField as error:
            raise CommandError(f"--field is wrong: {error}") from error
        except DatabaseFault as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"The database cannot be used (DATABASE_URL): {reason}") from error
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            # Python flushes once more at exit: that needs a place to go to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_NOBODY_READS)
        except OSError as error:
            raise CommandError(f"Cannot write: {error.strerror or error}.") from error

    def _wanted(self, options: dict[str, Any], now: datetime) -> Wanted:
        format, rows = options["format"], options["rows"]
        for name, allowed in (("format", FORMATS), ("rows", ROWS)):
            if options[name] not in allowed:
                raise CommandError(f"--{name} is one of: {', '.join(allowed)}.")
        if format == "jsonl" and (options["field"] or options["points"] or rows != ROWS[0]):
            raise CommandError("--field, --points and --rows are for csv and json only.")
        start, end = _range(options["start"], options["end"], now)
        names = list(dict.fromkeys(options["field"]))
        if any("\udc80" <= letter <= "\udcff" for letter in "".join(names)):
            raise CommandError("--field is wrong: it is not written in UTF-8.")
        if format != "jsonl" and not names:
            names = shown({"from": start, "to": end}, now)
        points = _points(options["points"]) or points_for(names)
        if rows == "points" and points * len(names) > MOST_VALUES:
            raise CommandError(f"--points times series may be at most {MOST_VALUES}.")
        return Wanted(format, start, end, names, rows, points)

    def _write(self, wanted: Wanted, write: Write, now: datetime) -> None:
        stored = snapshots().between(wanted.start, wanted.end)
        first, last = stored.first_moment(), stored.last_moment()
        began = told = time.monotonic()
        rows = 0
        for piece in exported(wanted, now):
            write(piece.text)
            rows += piece.rows
            if time.monotonic() - told > PROGRESS_SECONDS and first and last:
                told = time.monotonic()
                self.stderr.write(progress(first, last, piece.until, rows, told - began))
        seconds = time.monotonic() - began
        self.stderr.write(f"Exported {rows:,} rows in {seconds:.0f} s.")


def progress(first: datetime, last: datetime, until: datetime, rows: int, seconds: float) -> str:
    """Return share, rate and time left of an export that has come to `until`."""
    share = (until - first) / max(last - first, timedelta(microseconds=1))
    share = min(1.0, max(0.0, share))
    more = f"{seconds / share - seconds:.0f} s left" if share else "time left unknown"
    return f"{100 * share:.0f} %, {rows / seconds:,.0f} rows per second, {more}"


def _range(start: str | None, end: str, now: datetime) -> tuple[datetime, datetime]:
    try:
        until = parse_moment(end, now)
        since = parse_moment(start, now) if start else oldest()
    except BadMoment as error:
        raise CommandError(f"This is no time: {error}") from error
    if since is None:
        raise CommandError("Nothing is stored yet.")
    if since >= until:
        raise CommandError("--from must be before --to.")
    return since, until


def _points(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isdecimal() and 0 < int(text[:9]) <= MOST_VALUES):
        raise CommandError(f"--points is a number from 1 to {MOST_VALUES}.")
    return int(text[:9])


@contextmanager
def _printing(command: PerfWatchCommand) -> Iterator[Write]:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    yield lambda text: command.stdout.write(text, ending="")
    command.stdout.flush()


@contextmanager
def _writing(path: Path, *, force: bool) -> Iterator[Write]:
    """Give the file its name when all of it is on the disk."""
    path = path.resolve()
    _check(path, force=force)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        with part.open("x", encoding="utf-8", newline="") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _check(path, force=force)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, before)


def _check(path: Path, *, force: bool) -> None:
    if path.exists() and not path.is_file():
        raise CommandError(f"{path} is not a file.")
    if path.exists() and not force:
        raise CommandError(f"{path} exists already; --force replaces it.")
