"""Other ways to draw a chart: by the ORM, by SQL over the documents. Each returns its JSON."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

POINTS = 720


def by_orm(names: Sequence[str], start: datetime, end: datetime) -> str:
    """Read all rows and average in Python."""
    from metrics.collectors import getter
    from metrics.models import MetricsSnapshot

    readers = [getter(name) for name in names]
    step = (end - start).total_seconds() / POINTS
    sums: dict[int, list[float]] = {}
    counts: dict[int, int] = {}
    rows = MetricsSnapshot.objects.filter(
        metric_type="aggregated", timestamp__gte=start, timestamp__lt=end
    )
    for row in rows.order_by("timestamp").iterator():
        bucket = int((row.timestamp - start).total_seconds() // step)
        totals = sums.setdefault(bucket, [0.0] * len(readers))
        counts[bucket] = counts.get(bucket, 0) + 1
        for number, read in enumerate(readers):
            totals[number] += read(row.metric_data) or 0
    means = {bucket: [one / counts[bucket] for one in found] for bucket, found in sums.items()}
    return json.dumps(means)


def by_key(names: Sequence[str], start: datetime, end: datetime) -> str:
    """Average in SQL with an expression for each key, as everybody writes it first."""
    from django.db import connection

    parameters: list[Any]
    if connection.vendor == "postgresql":
        values = ["(metric_data #>> %s)::float"] * len(names)
        parameters = [list(path) for path in _paths(names)]
    else:
        values = ["(metric_data ->> %s)"] * len(names)
        parameters = [_sqlite_path(path) for path in _paths(names)]
    averages = ", ".join(f"avg({value})" for value in values)
    return _answer(
        f"SELECT {_bucket(start, end)}, {averages} FROM metrics_snapshot", parameters, start, end
    )


def by_document(names: Sequence[str], start: datetime, end: datetime) -> str:
    """Average in SQL that opens each document once."""
    from django.db import connection

    paths = _paths(names)
    parameters: list[Any]
    if connection.vendor == "postgresql":
        parts = dict.fromkeys(path[0] for path in paths)
        averages = ", ".join(f'avg((doc."{path[0]}" #>> %s)::float)' for path in paths)
        record = ", ".join(f'"{part}" jsonb' for part in parts)
        sql = (
            f"SELECT {_bucket(start, end)}, {averages} FROM metrics_snapshot"
            f" CROSS JOIN LATERAL jsonb_to_record(metric_data) AS doc({record})"
        )
        return _answer(sql, [list(path[1:]) for path in paths], start, end)
    # json_extract takes 127 arguments at most, and answers one path with a bare value.
    portions = [["$", *map(_sqlite_path, paths[at : at + 100])] for at in range(0, len(paths), 100)]
    columns, averages = [], []
    for number, portion in enumerate(portions):
        marks = ", ".join(["%s"] * len(portion))
        columns.append(f"json_extract(metric_data, {marks}) AS v{number}")
        averages += [f"avg(v{number} ->> {place})" for place in range(1, len(portion))]
    inner = f"SELECT {_bucket(start, end)}, {', '.join(columns)} FROM metrics_snapshot"
    parameters = [one for portion in portions for one in portion]
    return _answer(inner, parameters, start, end, outer=f"SELECT bucket, {', '.join(averages)}")


def _answer(
    sql: str, parameters: list[Any], start: datetime, end: datetime, outer: str = ""
) -> str:
    from django.db import connection

    sql += " WHERE metric_type = 'aggregated' AND timestamp >= %s AND timestamp < %s"
    sql = f"{outer} FROM ({sql}) AS opened" if outer else sql
    limits = [connection.ops.adapt_datetimefield_value(one) for one in (start, end)]
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} GROUP BY bucket ORDER BY bucket", [*parameters, *limits])
        return json.dumps(cursor.fetchall(), default=str)


def _bucket(start: datetime, end: datetime) -> str:
    from django.db import connection

    step, first = (end - start).total_seconds() / POINTS, start.timestamp()
    if connection.vendor == "postgresql":
        return f"floor((extract(epoch FROM timestamp) - {first}) / {step}) AS bucket"
    return f"CAST((strftime('%%s', timestamp) - {first}) / {step} AS INTEGER) AS bucket"


def _paths(names: Sequence[str]) -> list[tuple[str, ...]]:
    from metrics.buckets import series_of

    found = [series_of(name) for name in names]
    return [one.path for one in found if one]


def _sqlite_path(path: Sequence[str]) -> str:
    *parents, last = path
    if last.isdecimal() and parents[-1] == "per_core":
        return "".join(["$", *(f'."{name}"' for name in parents), f"[{last}]"])
    return "".join(["$", *(f'."{name}"' for name in path)])
