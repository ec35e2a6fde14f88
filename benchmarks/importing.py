"""Measures imports: rows per second against `bulk_create` in the same run, and a month's memory.

Builds databases of its own in a temporary folder and removes them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from own_database import ROOT, database
from synthetic import INTERVAL, USUAL_CORES, Host

BATCH = 500
POOL = 50
ROUNDS = 5
MONTH = 30 * 86_400
START = datetime(2026, 1, 1, tzinfo=UTC)


def documents() -> list[dict]:
    """Return a few snapshots' documents, which differ."""
    host = Host(USUAL_CORES)
    times = (START + timedelta(seconds=INTERVAL * number) for number in range(POOL))
    return [json.loads(host.text(at)) for at in times]


def ready(pool: list[dict], count: int, first: int) -> list:
    """Return rows as a source would give them."""
    from metrics.importing.base import Ready

    return [
        Ready(START + timedelta(seconds=INTERVAL * number), pool[number % POOL])
        for number in range(first, first + count)
    ]


def rows_per_second(rows: int) -> dict[str, float]:
    """Return the best of some rounds in turns: into a table that grows alike for both."""
    from django.db import transaction

    from metrics.importing.writing import insert
    from metrics.models import MetricsSnapshot

    pool = documents()

    def create(batch: list) -> None:
        MetricsSnapshot.objects.bulk_create(
            MetricsSnapshot(timestamp=one.timestamp, metric_type="aggregated", metric_data=one[1])
            for one in batch
        )

    found = {"bulk_create": 0.0, "import": 0.0}
    first = 0
    for _ in range(ROUNDS):
        for name, write in (("bulk_create", create), ("import", insert)):
            batches = [ready(pool, BATCH, first + n) for n in range(0, rows, BATCH)]
            first += rows
            began = time.monotonic()
            for batch in batches:
                with transaction.atomic():
                    write(batch)
            found[name] = max(found[name], rows / (time.monotonic() - began))
    return found


def sysstat_month(path: Path) -> int:
    """Write a month of ten-minute samples as sadf prints them; return how many."""
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "sa")
        subprocess.run(["/usr/lib/sysstat/sadc", "-F", "-S", "XALL", "1", "2", archive], check=True)
        command = ["sadf", "-j", archive, "--", "-A", "-F", "MOUNT"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    whole = json.loads(printed)
    [sample] = whole["sysstat"]["hosts"][0]["statistics"]
    count = MONTH // 600
    samples = []
    for number in range(count):
        at = START + timedelta(seconds=600 * number)
        stamp = {"date": f"{at:%Y-%m-%d}", "time": f"{at:%H:%M:%S}", "utc": 1, "interval": 600}
        samples.append(json.dumps(sample | {"timestamp": stamp}, indent=1))
    whole["sysstat"]["hosts"][0]["statistics"] = ["HERE"]
    path.write_text(json.dumps(whole, indent=1).replace('"HERE"', ",\n".join(samples)))
    return count


def snapshot_lines(path: Path, count: int) -> int:
    """Write so many snapshots as `export` does; return how many."""
    pool = documents()
    with path.open("w") as file:
        for number in range(count):
            data = pool[number % POOL]
            data["sampler"] |= {"id": str(uuid.UUID(int=number))}
            at = START + timedelta(seconds=INTERVAL * number)
            row = {"timestamp": at.isoformat(), "metric_type": "aggregated", "metric_data": data}
            file.write(json.dumps(row) + "\n")
    return count


def command(kind: str, path: Path) -> tuple[float, float]:
    """Return seconds and the most memory, in MB, of an import by command, roll-ups included."""
    began = time.monotonic()
    process = psutil.Popen(
        [sys.executable, "manage.py", "backfill", kind, str(path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most = 0
    while process.poll() is None:
        try:
            most = max(most, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    if process.wait():
        sys.exit(f"The import of {kind} failed.")
    return time.monotonic() - began, most / 1e6


def main() -> None:
    """Measure on a database of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--rows", type=int, default=5_000, help="in each round of writing")
    parser.add_argument("--snapshots", type=int, default=50_000, help="in the file of JSON Lines")
    options = parser.parse_args()
    with database(options.database), tempfile.TemporaryDirectory() as folder:
        found = rows_per_second(options.rows)
        print(f"{options.database}, documents of this host with 8 cores, batches of {BATCH}\n")
        print("| writing | rows/s |\n|---|---|")
        for name, rate in found.items():
            print(f"| {name} | {rate:,.0f} |")
        print(f"| ratio | {found['import'] / found['bulk_create']:.1f} |\n", flush=True)
        print(
            "| import by command | rows | MB | rows/s | s | MB of memory |\n"
            "|---|---|---|---|---|---|"
        )
        for kind, write in (
            ("sysstat", sysstat_month),
            ("snapshots", lambda path: snapshot_lines(path, options.snapshots)),
        ):
            path = Path(folder) / f"{kind}.json"
            rows = write(path)
            seconds, most = command(kind, path)
            print(
                f"| {kind} | {rows:,} | {path.stat().st_size / 1e6:,.0f} | {rows / seconds:,.0f}"
                f" | {seconds:.0f} | {most:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
