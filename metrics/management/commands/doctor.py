"""`manage.py doctor`: what this host can tell PerfWatch, and what to do."""

import json
import logging
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from django.core.management.base import CommandError

from metrics import perf_stat
from metrics.doctor.base import Finding, Level, is_healthy
from metrics.doctor.everything import findings
from metrics.management.base import PerfWatchCommand
from metrics.watched import watched_host

MARKS = {
    Level.OK: "ok",
    Level.NOTE: "note",
    Level.WARNING: "WARNING",
    Level.FAILED: "FAILED",
}


class Command(PerfWatchCommand):
    """One screen, or JSON."""

    help = (
        "Look at the kernel, every collector, the performance counters, the database, the broker, "
        "the disk and the newest sample, and say what is missing and what would help. It changes "
        "nothing. The exit status is 1 when something has failed, and 0 for all that is only "
        "missing on this host."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the ways to say it."""
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument(
            "--compare",
            action="store_true",
            help=f"count for {perf_stat.SECONDS:g} s beside `perf stat -a`, and print both",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, and print."""
        try:
            if options["compare"]:
                self._compare(as_json=options["json"])
                return
            # What the log would say of collectors is among the findings.
            logging.disable(logging.WARNING)
            found = list(findings())
        except KeyboardInterrupt:
            sys.exit(130)
        finally:
            logging.disable(logging.NOTSET)
        if options["json"]:
            rows = [one._asdict() for one in found]
            self.stdout.write(json.dumps({"healthy": is_healthy(found), "findings": rows}))
        else:
            self._print(found)
        if not is_healthy(found):
            sys.exit(1)

    def _print(self, found: Iterable[Finding]) -> None:
        for section, ones in groupby(found, lambda one: one.section):
            self.stdout.write(section[:1].upper() + section[1:])
            # What is the same of many is one line.
            for (level, text, remedy), same in groupby(ones, lambda one: one[2:]):
                names = ", ".join(one.name for one in same)
                self.stdout.write(f"  {MARKS[level]:<8}{names}: {text}")
                if remedy:
                    self.stdout.write(f"          → {remedy}")

    def _compare(self, *, as_json: bool) -> None:
        try:
            found = perf_stat.compare(watched_host(), perf_stat.SECONDS)
        except perf_stat.Unavailable as error:
            raise CommandError(str(error)) from error
        if as_json:
            of_each = ("name", "ours", "theirs", "percent", "least", "most", "agrees")
            rows = [{key: getattr(one, key) for key in of_each} for one in found]
            self.stdout.write(json.dumps(rows))
            return
        self.stdout.write(f"{'event':<26}{'PerfWatch':>16}{'perf stat -a':>16}{'difference':>12}")
        for one in found:
            percent = "—" if one.percent is None else f"{one.percent:+.1f} %"
            ours, theirs = (
                "—" if count is None else f"{count:,.0f}" for count in (one.ours, one.theirs)
            )
            differs = "  differs" if one.agrees is False else ""
            self.stdout.write(f"{one.name:<26}{ours:>16}{theirs:>16}{percent:>12}{differs}")
        both = [one for one in found if one.agrees is not None]
        agreeing = sum(bool(one.agrees) for one in both)
        self.stdout.write(
            f"{agreeing} of {len(both)} events that both count agree: within"
            f" {perf_stat.AGREE_PERCENT:g} %, or, if rare, within what came just as perf began or"
            " ended."
        )
