"""What the data takes on disk, beside what the specification expects."""

HEAD = "| | on disk MB | of it roll-ups MB | snapshots | specification |\n|---|---|---|---|---|"
EXPECTED = {"empty": "32 KB", "day": "173 MB", "month": "5 GB", "": ""}


def row(title: str, expected: str = "") -> None:
    """Print what all tables take at this moment."""
    from metrics.models import MetricsSnapshot

    count = MetricsSnapshot.objects.count()
    print(
        f"| {title} | {everything() / 1e6:,.1f} | {rollups() / 1e6:,.1f} | {count:,} "
        f"| {EXPECTED[expected]} |",
        flush=True,
    )


def everything() -> int:
    """Return the bytes on disk of all tables and indexes, those of Django included."""
    from django.db import connection

    from metrics import sizes

    if connection.vendor == "sqlite":
        return sizes.file_bytes()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return int(cursor.fetchone()[0])


def rollups() -> int:
    """Return the bytes of the roll-ups; on SQLite, which does not tell, those of their text."""
    from django.db import connection

    size = {
        "sqlite": "SELECT coalesce(sum(length(data)), 0) FROM metrics_rollup",
        "postgresql": "SELECT pg_total_relation_size('metrics_rollup')",
    }
    with connection.cursor() as cursor:
        cursor.execute(size[connection.vendor])
        return int(cursor.fetchone()[0])
