"""A database of its own, filled with realistic documents of a host with eight CPUs."""

import json
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

CORES = 8
POOL = 500
INTERVAL = 5


@contextmanager
def database(vendor: str) -> Iterator[None]:
    """Set Django up on an empty SQLite file or on a PostgreSQL of our own."""
    from perfwatch_site.tests.workplace import Workplace

    workplace = Workplace()
    try:
        os.environ["PERFWATCH_ENV_FILE"] = ""
        os.environ["PERFWATCH_DATA_DIR"] = str(workplace.make("data"))
        os.environ.pop("DATABASE_URL", None)
        if vendor == "postgresql":
            from perfwatch_site.tests.own_servers import start_postgresql

            # pytest would make the database that the URL names; this one is always there.
            os.environ["DATABASE_URL"] = (
                start_postgresql(workplace).rpartition("/")[0] + "/postgres"
            )
        os.environ["DJANGO_SETTINGS_MODULE"] = "perfwatch_site.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield
    finally:
        from django.db import connections

        connections.close_all()
        workplace.close()


def documents(count: int) -> list[dict]:
    """Return documents of this host's shape, with eight cores and numbers that vary."""
    from metrics.sampling import Sampler
    from metrics.watched import watched_host

    sampler = Sampler(watched_host())
    sampler.sample(interval=INTERVAL)
    real = sampler.sample(interval=INTERVAL).data
    sampler.close()
    real["cpu"]["per_core"] = [5.0] * CORES
    for name in ("cycles", "instructions", "cache_references", "cache_misses"):
        real["perf_events"][name] = 10**9
    real["perf_events"]["ipc"] = 1.0
    chance = random.Random(1)
    return [_varied(real, chance) for _ in range(count)]


def _varied(value: object, chance: random.Random) -> object:
    if isinstance(value, dict):
        return {key: _varied(inner, chance) for key, inner in value.items()}
    if isinstance(value, list):
        return [_varied(inner, chance) for inner in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not value:
        return value  # errors and drops stay at 0
    if isinstance(value, int):
        return value if value == INTERVAL else round(value * chance.uniform(0.5, 1.5))
    return round(value * chance.uniform(0.5, 1.5) + chance.random(), 2)


def folded(document: dict, seconds: int) -> dict:
    """Return the document as downsampling to one in `seconds` leaves it."""
    samples = seconds // INTERVAL

    def mirror(value: object, change: object) -> object:
        if isinstance(value, dict):
            return {key: mirror(inner, change) for key, inner in value.items()}
        if isinstance(value, list):
            return [mirror(inner, change) for inner in value]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return change(value) if number else None  # type: ignore[operator]

    parts = {key: value for key, value in document.items() if isinstance(value, dict)}
    return document | {
        "downsampled": {
            "samples": samples,
            "bucket_seconds": seconds,
            "n": mirror(parts, lambda value: samples),
            "min": mirror(parts, lambda value: round(value * 0.7, 2)),
            "max": mirror(parts, lambda value: round(value * 1.3, 2)),
        }
    }


def fill(pool: list[dict], start: datetime, count: int, seconds: int) -> None:
    """Insert `count` rows at even distances, with the documents of the pool in turn."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE pool (n integer PRIMARY KEY, data text)")
        cursor.executemany(
            "INSERT INTO pool VALUES (%s, %s)",
            [(n, json.dumps(one, separators=(",", ":"))) for n, one in enumerate(pool)],
        )
        into = "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
        for first in range(0, count, 50_000):
            last = min(first + 50_000, count) - 1
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"{into} SELECT %s + i * %s * INTERVAL '1 second', 'aggregated', data::jsonb"
                    " FROM generate_series(%s::int, %s) AS i JOIN pool ON n = i %% %s ORDER BY i",
                    [start, seconds, first, last, len(pool)],
                )
            else:
                cursor.execute(
                    f"WITH RECURSIVE numbers(i) AS (SELECT %s UNION ALL SELECT i + 1 FROM numbers"
                    f" WHERE i < %s) {into} SELECT datetime(%s + i * %s, 'unixepoch'),"
                    " 'aggregated', data FROM numbers JOIN pool ON n = i %% %s",
                    [first, last, int(start.timestamp()), seconds, len(pool)],
                )
        cursor.execute("DROP TABLE pool")
        cursor.execute("ANALYZE")


def filled(now: datetime, days: int, downsampled_days: int) -> float:
    """Fill the table as retention leaves it; return the size of a document in KB."""
    pool = documents(POOL)
    if downsampled_days:
        hourly = [folded(one, 3_600) for one in pool[:100]]
        start = now - timedelta(days=days + downsampled_days)
        fill(hourly, start, downsampled_days * 24, 3_600)
    start = now - timedelta(days=days)
    fill(pool, start, days * 86_400 // INTERVAL, INTERVAL)
    return sum(len(json.dumps(one, separators=(",", ":"))) for one in pool) / len(pool) / 1024


def moment() -> datetime:
    """Return the time at which the synthetic data ends: half past an hour, not long ago."""
    return datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=1)
