"""What exports cost: rows per second, and how memory grows meanwhile.

Each runs in a process of its own, on the database that the environment names, and is read through
a pipe. `--send` is such a process: it answers a request as the web server does.
"""

import argparse
import os
import subprocess
import sys
import time
from datetime import datetime

import psutil
from own_database import ROOT
from ranges import SIX

BLOCK = 1 << 20


def measure(start: datetime, end: datetime) -> None:
    """Print one row of the table for each kind of export."""
    from metrics.models import MetricsSnapshot

    rows = MetricsSnapshot.objects.count()
    stretch = {"from": f"{start:%Y-%m-%dT%H:%M:%SZ}", "to": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    times = [part for name, value in stretch.items() for part in (f"--{name}", value)]
    fields = [part for name in SIX for part in ("--field", name)]
    command = ["manage.py", "export", *times]
    sent = ["benchmarks/export.py", *times, "--send"]
    cases = {
        "command, JSON Lines": [*command, "--format", "jsonl"],
        "page, JSON Lines": [*sent, "plain"],
        "page, JSON Lines, gzip": [*sent, "gzip"],
        "command, CSV of 6 series, samples": [*command, *fields, "--rows", "samples"],
    }
    print("| export | snapshots/s | s | CPU s | MB written | MB at first | MB grown |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name, arguments in cases.items():
        seconds, spent, size, first, grown = measured(arguments)
        print(
            f"| {name} | {rows / seconds:,.0f} | {seconds:.0f} | {spent:.0f} |"
            f" {size:,.0f} | {first:.0f} | {grown:.1f} |",
            flush=True,
        )


def measured(command: list[str]) -> tuple[float, float, float, float, float]:
    """Return seconds, CPU seconds of the process, MB written, MB of memory at first and on top."""
    started = time.monotonic()
    process = psutil.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    size, first, most, spent = 0, 0, 0, 0.0
    while block := process.stdout.read1(BLOCK):
        size += len(block)
        most = max(most, process.memory_info().rss)
        first = first or most
        spent = sum(process.cpu_times()[:2])
    if process.wait():
        sys.exit(f"{command} failed.")
    return time.monotonic() - started, spent, size / 1e6, first / 1e6, (most - first) / 1e6


def send(query: dict[str, str], compress: bool) -> None:
    """Answer a request as the web server does, to standard output."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "perfwatch_site.settings"
    import django

    django.setup()
    from django.middleware.gzip import GZipMiddleware
    from django.test import RequestFactory

    from metrics.downloads import export

    request = RequestFactory().get("/history/export/", query, headers={"Accept-Encoding": "gzip"})
    response = GZipMiddleware(export)(request) if compress else export(request)
    for block in response.streaming_content:
        sys.stdout.buffer.write(block)


def main() -> None:
    """Send an answer to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", required=True, dest="start")
    parser.add_argument("--to", required=True)
    parser.add_argument("--send", choices=("plain", "gzip"), required=True)
    asked = parser.parse_args()
    stretch = {"from": asked.start, "to": asked.to}
    send(stretch | {"format": "jsonl"}, compress=asked.send == "gzip")


if __name__ == "__main__":
    main()
