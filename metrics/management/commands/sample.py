"""Prints snapshots. Needs neither database nor broker."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from metrics.kernel.recording import record
from metrics.management.base import PerfWatchCommand
from metrics.sampling import Sampler
from metrics.watched import watched_host

LONGEST_INTERVAL_SECONDS = 86_400
_MOST_DIGITS = 9
_INTERRUPTED = 130  # 128 + SIGINT, as shells say it


class Command(PerfWatchCommand):
    help = (
        "Print what PerfWatch sees on this host, one JSON document per line. "
        "Rates need two samples and are null in the first one: --count 2 shows them. "
        "Neither a database nor a broker is needed. "
        "For a bug report, --record writes the kernel files that are read here instead: without "
        "addresses, command lines, machine id and the host's name, with names of processes, "
        "devices, interfaces and mount points."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        # Kept as text: argparse would not say what is allowed.
        parser.add_argument("--count", default="1", metavar="N", help="samples to take (default 1)")
        parser.add_argument(
            "--interval",
            default="1",
            metavar="S",
            help="seconds between two samples, fractions allowed (default 1)",
        )
        parser.add_argument(
            "--record",
            metavar="FILE",
            help="write the kernel files that are read on this host to a tar.gz and stop; its "
            "folders proc, sys and root are for PERFWATCH_PROCFS, _SYSFS and _ROOTFS",
        )

    def handle(self, *args: object, **options: object) -> None:
        if sys.stdout is None:  # closed by the shell: >&-
            raise CommandError("There is no standard output to print to.")
        count, interval = _count(str(options["count"])), _interval(str(options["interval"]))
        if options["record"]:
            _record(Path(str(options["record"])))
            return
        sampler = Sampler(watched_host())
        try:
            for due in _ticks(count, interval):
                snapshot = sampler.sample(interval=interval if count > 1 else None, due=due)
                self.stdout.write(json.dumps(snapshot.data, allow_nan=False))
                self.stdout.flush()
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:
            _close_standard_output()  # the reader has seen enough
        except OSError as error:
            _close_standard_output()
            raise CommandError(f"Cannot print the sample: {error.strerror}.") from error
        finally:
            sampler.close()


def _close_standard_output() -> None:
    """Python flushes once more at exit: gives it a place to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _record(path: Path) -> None:
    try:
        path.write_bytes(record(watched_host()))
    except OSError as error:
        raise CommandError(f"--record failed: {error}.") from error


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    if count < 1:
        raise CommandError(f"--count must be a whole number from 1 to 999999999, not {text!r}.")
    return count


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_INTERVAL_SECONDS:
        raise CommandError(
            f"--interval must be a number of seconds above 0, at most "
            f"{LONGEST_INTERVAL_SECONDS}, not {text!r}."
        )
    return seconds


def _ticks(count: int, interval: float) -> Iterator[float]:
    """Waits for each tick and gives the epoch time at which it was due.

    Ticks are multiples of the interval from the start, so they do not drift; those that passed
    while a sample was being taken are left out.
    """
    start = time.monotonic()
    tick = 0
    for taken in range(count):
        if taken:
            tick = max(tick + 1, math.ceil((time.monotonic() - start) / interval))
            time.sleep(max(0.0, start + tick * interval - time.monotonic()))
        yield time.time() - (time.monotonic() - (start + tick * interval))
