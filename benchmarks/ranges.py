"""What a range of time costs: `python benchmarks/ranges.py --database postgresql`.

Fills a database of its own with 30 days at 5 s and eleven months of hourly documents, rolls all
up, and prints Markdown: six series in 720 points, through the API's own function and JSON, beside
rows read by the ORM and averaged in Python, beside plain SQL over the documents, with an expression
for each key, and beside SQL that opens each document once. Database, merge and serialisation
together; the fastest of several warm runs.
"""

import argparse
import gzip
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from synthetic import database, filled, moment

SIX = ("cpu.usage_percent", "cpu.iowait_percent", "memory.used_bytes")
SIX += ("network.bytes_recv_per_sec", "disk.read_iops", "cpu.per_core.3")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--downsampled-days", type=int, default=335)
    options = parser.parse_args()
    with database(options.database):
        now = moment()
        started = time.monotonic()
        size = filled(now, options.days, options.downsampled_days)
        print(f"{options.database}: documents of {size:.1f} KB, filled in {took(started)}")
        rebuilding(now, options.days)
        upkeep(now)
        ranges(now, options.days, options.downsampled_days)


def took(started: float) -> str:
    """Return the seconds since then."""
    return f"{time.monotonic() - started:.0f} s"


def rebuilding(now: datetime, days: int) -> None:
    """Measure rolling up: first the days at 5 s, then the hourly documents before them."""
    from metrics import rollup_state, rollups, spans
    from metrics.rebuild import left

    started, cpu = time.monotonic(), time.process_time()
    since = int((now - timedelta(days=days)).timestamp())
    rollups.step(now, rollups.LARGE)
    more = True
    while more:
        more = rollups.step(now, rollups.LARGE)
        state = rollup_state.load()
        if not state or not spans.within(state.tiers[60].pending, since, int(now.timestamp())):
            break
    print(f"rolled up {days} days in {took(started)}, {time.process_time() - cpu:.0f} s of CPU")
    started = time.monotonic()
    while rollups.step(now, rollups.LARGE):
        pass
    print(f"and the rest in {took(started)}; left: {left(rollup_state.load())}")


def upkeep(now: datetime) -> None:
    """Measure what rolling up costs per minute, over two days with a step each minute."""
    from metrics import rollup_state, rollups
    from metrics.tiers import TIERS

    state = rollup_state.load()
    start = now - timedelta(days=2)
    for tier in TIERS:  # as if it had stood still since then
        state.tiers[tier.seconds].until = int(start.timestamp()) // tier.seconds * tier.seconds
    rollup_state.save(state)
    steps, minutes = [], 2 * 24 * 60
    cpu = time.process_time()
    for minute in range(minutes):
        more = True
        while more:
            one = time.monotonic()
            more = rollups.step(start + timedelta(minutes=minute))
            steps.append(time.monotonic() - one)
    cpu = (time.process_time() - cpu) / minutes
    steps.sort()
    print(
        f"upkeep: {1000 * cpu:.1f} ms of CPU a minute in this process; steps: "
        f"half of them {1000 * steps[len(steps) // 2]:.0f} ms, 99 % up to "
        f"{1000 * steps[len(steps) * 99 // 100]:.0f} ms, longest {1000 * steps[-1]:.0f} ms"
    )


def ranges(now: datetime, days: int, downsampled_days: int) -> None:
    """Print what each range costs."""
    print("\n| range | resolution | PerfWatch ms | ORM ms | plain SQL ms | SQL ms | times | KB |")
    print("|---|---|---|---|---|---|---|---|")
    for length in (1 / 24, 1, 7, days, days + downsampled_days):
        start = now - timedelta(days=length)
        text = ours(start, now)
        mine = fastest(lambda start=start: ours(start, now), 10)
        others = [""] * 4
        if length <= days:
            rows = by_orm(start, now)
            times = 1 if length > 2 else 3
            plain = fastest(lambda start=start: by_plain_sql(start, now), times)
            sql = fastest(lambda start=start: by_sql(start, now), times)
            others = [f"{ms:.0f}" for ms in (rows, plain, sql)]
            others.append(", ".join(f"{ms / mine:.0f}" for ms in (rows, plain, sql)))
        resolution = json.loads(text)["resolution"]
        kilobytes = len(gzip.compress(text.encode(), 6)) / 1024
        cells = [f"{length:.3g} d", str(resolution), f"{mine:.1f}", *others, f"{kilobytes:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def ours(start: datetime, end: datetime) -> str:
    """Return the API's answer."""
    from metrics.api import answer
    from metrics.history import history

    return answer(history(SIX, start, end, 720, end))


def fastest(run: Callable[[], object], times: int) -> float:
    """Return the milliseconds of the fastest run."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        found.append(1000 * (time.perf_counter() - started))
    return min(found)


def by_orm(start: datetime, end: datetime) -> float:
    """Return the milliseconds that averaging rows in Python takes; a sixth at most is measured."""
    from metrics.collectors import getter
    from metrics.models import MetricsSnapshot

    share = max(1.0, (end - start) / timedelta(days=2))
    started = time.perf_counter()
    first = end - (end - start) / share
    readers = [getter(name) for name in SIX]
    sums: dict[int, list[float]] = {}
    step = (end - start).total_seconds() / 720
    rows = MetricsSnapshot.objects.filter(
        metric_type="aggregated", timestamp__gte=first, timestamp__lt=end
    ).order_by("timestamp")
    for row in rows.iterator():
        bucket = sums.setdefault(int((row.timestamp - start).total_seconds() // step), [0.0] * 6)
        for number, read in enumerate(readers):
            bucket[number] += read(row.metric_data) or 0
    json.dumps(list(sums.values()))
    return 1000 * (time.perf_counter() - started) * share


def by_plain_sql(start: datetime, end: datetime) -> None:
    """Average in SQL with an expression for each key, as everybody writes it first."""
    from django.db import connection

    step = (end - start).total_seconds() / 720
    limits = [connection.ops.adapt_datetimefield_value(one) for one in (start, end)]
    postgresql = connection.vendor == "postgresql"
    averages = []
    for name in SIX:
        names = name.split(".")
        path = f"#>> '{{{','.join(names)}}}'" if postgresql else f"->> '$.{name}'"
        if not postgresql and names[-1].isdecimal():
            path = f"->> '$.{'.'.join(names[:-1])}[{names[-1]}]'"
        averages.append(f"avg((metric_data {path}){'::float' if postgresql else ''})")
    epoch = "extract(epoch FROM timestamp)" if postgresql else "strftime('%%s', timestamp)"
    sql = (
        f"SELECT floor({epoch} / {step}) AS bucket, {', '.join(averages)} FROM metrics_snapshot"
        " WHERE metric_type = 'aggregated' AND timestamp >= %s AND timestamp < %s GROUP BY 1"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, limits)
        json.dumps(cursor.fetchall(), default=str)


def by_sql(start: datetime, end: datetime) -> None:
    """Average in SQL over the documents, each of which is opened once."""
    from django.db import connection

    step = (end - start).total_seconds() / 720
    limits = [connection.ops.adapt_datetimefield_value(one) for one in (start, end)]
    where = "WHERE metric_type = 'aggregated' AND timestamp >= %s AND timestamp < %s"
    if connection.vendor == "postgresql":
        paths = ("c->>'usage_percent'", "c->>'iowait_percent'", "m->>'used_bytes'")
        paths += ("n->>'bytes_recv_per_sec'", "d->>'read_iops'", "c->'per_core'->>3")
        averages = ", ".join(f"avg(({path})::float)" for path in paths).replace("m->", "memory->")
        for short, name in (("c->", "cpu->"), ("n->", "network->"), ("d->", "disk->")):
            averages = averages.replace(f"({short}", f"({name}")
        sql = (
            f"SELECT floor(extract(epoch FROM timestamp) / {step}) AS bucket, {averages}"
            " FROM metrics_snapshot, LATERAL jsonb_to_record(metric_data)"
            f" AS doc(cpu jsonb, memory jsonb, network jsonb, disk jsonb) {where} GROUP BY bucket"
        )
    else:
        paths = [f"'$.{name}'" for name in SIX[:-1]] + ["'$.cpu.per_core[3]'"]
        averages = ", ".join(f"avg(v ->> {number})" for number in range(6))
        sql = (
            f"SELECT bucket, {averages} FROM (SELECT CAST(strftime('%%s', timestamp) / {step} AS"
            f" INTEGER) AS bucket, json_extract(metric_data, {', '.join(paths)}) AS v"
            f" FROM metrics_snapshot {where}) GROUP BY bucket"
        )
    with connection.cursor() as cursor:
        cursor.execute(sql, limits)
        json.dumps(cursor.fetchall(), default=str)


if __name__ == "__main__":
    main()
