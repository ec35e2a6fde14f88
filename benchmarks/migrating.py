"""How long migrations hold samples up: `python benchmarks/migrating.py --database postgresql`.

Fills `metrics_snapshot` with half a million rows, goes back to the first migration, and makes
each one after it while another process inserts a sample every 10 ms. Prints how long each migration
lasts and the longest that an insert had to wait meanwhile.
"""

import multiprocessing
import time
from multiprocessing.connection import Connection

from own_database import database, heading, options

ROWS = 500_000


def main() -> None:
    """Measure and print."""
    asked = options(__doc__)
    rows = 1_000 if asked.quick else ROWS
    with database(asked.database):
        from django.core.management import call_command
        from django.db import connection
        from django.db.migrations.loader import MigrationLoader

        fill(rows)
        names = sorted(
            name for app, name in MigrationLoader(None).disk_migrations if app == "metrics"
        )
        heading(f"migrations with {rows:,} rows")
        print("| migration | s | longest wait of a sample, ms |")
        print("|---|---|---|")
        call_command("migrate", "metrics", names[0], verbosity=0)
        for name in names[1:]:
            connection.close()
            ours, theirs = multiprocessing.Pipe()
            writer = multiprocessing.get_context("fork").Process(target=write, args=(theirs,))
            writer.start()
            ours.recv()
            started = time.monotonic()
            call_command("migrate", "metrics", name, verbosity=0)
            took = time.monotonic() - started
            ours.send("stop")
            print(f"| {name} | {took:.2f} | {ours.recv() * 1000:.0f} |", flush=True)
            writer.join()


def fill(rows: int) -> None:
    """Store rows of one every 5 s; their documents are small, which indexes do not mind."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data) "
                "SELECT now() - interval '5 s' * n, 'aggregated', jsonb_build_object('n', n, "
                "'text', repeat(md5(n::text), 40)) FROM generate_series(1, %s) n",
                [rows],
            )
        else:
            cursor.execute(
                "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data) "
                "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < %s) "
                "SELECT datetime('now', (-5 * n) || ' seconds'), 'aggregated', "
                "json_object('n', n, 'text', hex(zeroblob(600))) FROM r",
                [rows],
            )


def write(pipe: Connection) -> None:
    """Insert until told to stop; answer the longest that it took."""
    from django.db import Error, connection
    from django.utils import timezone

    from metrics.models import MetricsSnapshot

    longest = 0.0
    pipe.send("ready")
    while not pipe.poll():
        started = time.monotonic()
        try:
            MetricsSnapshot.objects.create(
                timestamp=timezone.now(), metric_type="aggregated", metric_data={}
            )
        except Error as error:
            print(f"(not stored: {error})")
        longest = max(longest, time.monotonic() - started)
        time.sleep(0.01)
    pipe.recv()
    connection.close()
    pipe.send(longest)


if __name__ == "__main__":
    main()
