"""Measures exports of half a million snapshots: rows per second, and how memory grows meanwhile.

Builds a database of its own in a temporary folder (about 4 GB) and removes it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FIELDS = [
    "cpu.usage_percent",
    "cpu.iowait_percent",
    "memory.used_bytes",
    "network.bytes_recv_per_sec",
    "disk.read_iops",
    "perf_events.context_switches",
]
RANGE = {"from": "2026-01-01", "to": "2027-01-01"}
BLOCK = 1 << 20
DOCUMENTS = 20
"""Really taken samples, in turns: what is alike in two of them is compressed away too easily."""

INSERTS = {
    "sqlite": """
        WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers LIMIT %s)
        INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)
        SELECT datetime('2026-01-01', (5 * i) || ' seconds'), 'aggregated', document
        FROM numbers JOIN documents ON n = i %% %s
    """,
    "postgresql": """
        INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)
        SELECT '2026-01-01Z'::timestamptz + i * interval '5 seconds', 'aggregated',
               document::jsonb
        FROM generate_series(0, %s - 1) AS i JOIN documents ON n = i %% %s
        ORDER BY i
    """,
}


def build(rows: int) -> int:
    """Fill the database with a sample of this host; return the length of its text."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    count = ["--count", str(DOCUMENTS), "--interval", "0.1"]
    command = [sys.executable, "manage.py", "sample", *count]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    documents = [
        json.dumps(json.loads(line), separators=(",", ":")) for line in printed.splitlines()
    ]
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE documents (n integer, document text)")
        cursor.executemany("INSERT INTO documents VALUES (%s, %s)", list(enumerate(documents)))
        cursor.execute(INSERTS[connection.vendor], [rows, DOCUMENTS])
        cursor.execute("ANALYZE")
    connection.close()
    return round(sum(map(len, documents)) / DOCUMENTS)


def send(query: dict[str, str], compress: bool) -> None:
    """Answer a request as the web server does, to standard output."""
    import django

    django.setup()
    from django.middleware.gzip import GZipMiddleware
    from django.test import RequestFactory

    from metrics.downloads import export

    request = RequestFactory().get("/history/export/", query, headers={"Accept-Encoding": "gzip"})
    response = GZipMiddleware(export)(request) if compress else export(request)
    for block in response.streaming_content:
        sys.stdout.buffer.write(block)


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


def measure(rows: int, vendor: str) -> None:
    """Print one row of the table for each kind of export."""
    times = [part for name, value in RANGE.items() for part in (f"--{name}", value)]
    fields = [part for name in FIELDS for part in ("--field", name)]
    command = ["manage.py", "export", *times]
    sent = ["benchmarks/export.py", "--send"]
    cases = {
        "command, JSON Lines": [*command, "--format", "jsonl"],
        "page, JSON Lines": [*sent, "plain"],
        "page, JSON Lines, gzip": [*sent, "gzip"],
        "command, CSV of 6 series, samples": [*command, *fields, "--rows", "samples"],
    }
    for name, arguments in cases.items():
        seconds, spent, size, first, grown = measured(arguments)
        print(
            f"| {vendor} | {name} | {rows / seconds:,.0f} | {seconds:.0f} | {spent:.0f} |"
            f" {size:,.0f} | {first:.0f} | {grown:.1f} |",
            flush=True,
        )


def main() -> None:
    """Measure on a database of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=sorted(INSERTS), default="sqlite")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--send", choices=("plain", "gzip"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "perfwatch_site.settings"
    if options.send:
        send(RANGE | {"format": "jsonl"}, compress=options.send == "gzip")
        return
    from perfwatch_site.tests.own_servers import start_postgresql
    from perfwatch_site.tests.workplace import Workplace

    place = Workplace()
    try:
        os.environ |= {"PERFWATCH_ENV_FILE": "", "PERFWATCH_DATA_DIR": str(place.make("data"))}
        os.environ.pop("DATABASE_URL", None)
        if options.database == "postgresql":
            # The database that the URL names is made by whoever runs tests.
            os.environ["DATABASE_URL"] = start_postgresql(place).rpartition("/")[0] + "/postgres"
        began = time.monotonic()
        length = build(options.rows)
        took = time.monotonic() - began
        print(f"{options.rows:,} snapshots of {length:,} bytes, built in {took:.0f} s\n")
        print(
            "| database | export | snapshots/s | s | CPU s | MB written | MB at first | MB grown |"
        )
        print("|---|---|---|---|---|---|---|---|", flush=True)
        measure(options.rows, options.database)
    finally:
        place.close()


if __name__ == "__main__":
    main()
