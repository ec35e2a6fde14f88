"""The slow queries that the specification names: as it foresees them, and what cures them."""

from collections.abc import Callable
from datetime import datetime, timedelta

from own_database import fastest, once
from ranges import SIX, perfwatch

COPY = "bench_snapshot"
INSERTED = 2_000


def measure(now: datetime, days: int) -> None:
    """Print the three of them."""
    from django.db import connection

    print("| | as foreseen ms | cured ms | times |\n|---|---|---|---|")
    without_index(now)
    aggregation(now, days)
    if connection.vendor == "postgresql":
        print()
        gin(now)


def without_index(now: datetime) -> None:
    """Historical queries without an index on the time: the specification's own, of an hour."""
    from django.db import connection, transaction

    start = now - timedelta(hours=1)
    sql = "SELECT * FROM metrics_snapshot{} WHERE timestamp >= %s AND timestamp < %s"
    if connection.vendor == "sqlite":
        slow = fastest(lambda: rows(sql.format(" NOT INDEXED"), start, now))
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            for way in ("indexscan", "bitmapscan", "indexonlyscan"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            slow = fastest(lambda: rows(sql.format(""), start, now))
    cured = fastest(lambda: rows(sql.format(""), start, now))
    told("an hour of snapshots without an index on the time, and with it", slow, cured)


def aggregation(now: datetime, days: int) -> None:
    """Aggregations over a large range: SQL over the documents, and what PerfWatch answers."""
    start = now - timedelta(days=days)
    slow = fastest(lambda: rows(hourly_means(), start, now))
    cured = fastest(lambda: perfwatch(SIX[:1], start, now))
    told(f"a mean per hour over {days} days of documents, and by roll-ups", slow, cured)


def hourly_means() -> str:
    """Return SQL for the CPU usage of each hour."""
    from django.db import connection

    hour, value = {
        "postgresql": (
            "date_trunc('hour', timestamp)",
            "(metric_data->'cpu'->>'usage_percent')::float",
        ),
        "sqlite": (
            "strftime('%%Y-%%m-%%d %%H', timestamp)",
            "json_extract(metric_data, '$.cpu.usage_percent')",
        ),
    }[connection.vendor]
    return (
        f"SELECT {hour} AS hour, avg({value}) FROM metrics_snapshot"
        " WHERE timestamp >= %s AND timestamp < %s GROUP BY 1 ORDER BY 1"
    )


def rows(sql: str, *parameters: object) -> list[tuple]:
    """Return what a query finds."""
    from django.db import connection

    given = [
        connection.ops.adapt_datetimefield_value(one) if isinstance(one, datetime) else one
        for one in parameters
    ]
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return cursor.fetchall() if cursor.description else []


def told(name: str, slow: float, cured: float) -> None:
    """Print a row."""
    times = f"{slow / cured:,.1f}"
    print(f"| {name} | {1000 * slow:,.1f} | {1000 * cured:,.1f} | {times} |", flush=True)


def gin(now: datetime) -> None:
    """Extraction without and with a GIN index, on a copy of the newest 24 hours, and its cost."""
    start = now - timedelta(days=1)
    rows(f"CREATE TABLE {COPY} (LIKE metrics_snapshot INCLUDING ALL)")
    rows(f"INSERT INTO {COPY} SELECT * FROM metrics_snapshot WHERE timestamp >= %s", start)
    rows(f"VACUUM ANALYZE {COPY}")
    before = described(now)
    size, seconds = bytes_of(COPY), inserting()
    build = once(lambda: rows(f"CREATE INDEX {COPY}_gin ON {COPY} USING gin (metric_data)"))
    rows(f"VACUUM ANALYZE {COPY}")
    after = described(now)
    slow = inserting()
    print("| 24 h on PostgreSQL | without | with GIN |\n|---|---|---|")
    for name in before:
        print(f"| {name} | {before[name]} | {after[name]} |")
    print(f"| {INSERTED:,} inserts, one by one, s | {seconds:.1f} | {slow:.1f} |")
    print(f"| MB with indexes | {size / 1e6:.0f} | {bytes_of(COPY) / 1e6:.0f} |")
    print(f"| building it, s | | {build:.0f} |", flush=True)
    rows(f"DROP TABLE {COPY}")


def described(now: datetime) -> dict[str, str]:
    """Return how long the queries take that such an index is said to be for."""
    day, hour = now - timedelta(days=1), now - timedelta(hours=1)
    usage = "(metric_data->'cpu'->>'usage_percent')::float"
    queries: dict[str, Callable[[], object]] = {
        "the specification's sample query (1 h of CPU usage), ms": lambda: rows(
            f"SELECT timestamp, {usage} AS cpu_usage FROM {COPY} WHERE timestamp >= %s"
            " ORDER BY timestamp",
            hour,
        ),
        "CPU usage of 24 h as means of 2 minutes, ms": lambda: rows(
            f"SELECT date_bin('2 minutes', timestamp, %s), avg({usage}) FROM {COPY}"
            " WHERE timestamp >= %s GROUP BY 1",
            day,
            day,
        ),
        "samples above 25 % of CPU usage, ms": lambda: rows(
            f"SELECT count(*) FROM {COPY} WHERE {usage} > 25"
        ),
        "samples of which a collector failed (containment), ms": lambda: rows(
            f"SELECT count(*) FROM {COPY}"
            """ WHERE metric_data @> '{"sampler": {"status": {"disk": "failed"}}}'"""
        ),
    }
    return {name: f"{1000 * fastest(run):,.1f}" for name, run in queries.items()}


def inserting() -> float:
    """Return the seconds that inserts take as the sampler makes them, with what they leave over."""
    found = rows(f"SELECT metric_data::text FROM {COPY} ORDER BY id LIMIT {INSERTED}")

    def run() -> None:
        for (text,) in found:
            rows(
                f"INSERT INTO {COPY} (timestamp, metric_type, metric_data)"
                " VALUES ('2000-01-01Z', 'aggregated', %s::jsonb)",
                text,
            )
        rows(f"VACUUM {COPY}")  # an index of this kind sorts new entries in later

    seconds = once(run)
    rows(f"DELETE FROM {COPY} WHERE timestamp = '2000-01-01Z'")
    rows(f"VACUUM {COPY}")
    return seconds


def bytes_of(table: str) -> int:
    """Return the bytes of a table with its indexes."""
    return int(rows("SELECT pg_total_relation_size(%s::regclass)", table)[0][0])
