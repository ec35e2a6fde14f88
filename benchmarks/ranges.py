"""What a range of time costs: PerfWatch beside the ORM and SQL over the documents.

In at most 720 points, as JSON: database, merge and serialisation together. Warm is the fastest of
some runs (of what takes longer than 2 s there is one). Cold is one run of a process of its own
after nothing of the database was in memory; such a process is `--way`.
"""

import argparse
import gzip
import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import baselines
from own_database import Place, cold, fastest, report

SIX = ("cpu.usage_percent", "cpu.iowait_percent", "memory.used_bytes")
SIX += ("network.bytes_recv_per_sec", "disk.read_iops", "cpu.per_core.3")
PERFWATCH = "PerfWatch"
LONGEST_SECONDS = 150
"""What would take longer is not measured but reckoned from the range before, and marked by a ~."""

Way = Callable[[Sequence[str], datetime, datetime], str]
WAYS: dict[str, Way] = {
    "ORM": baselines.by_orm,
    "SQL, each key": baselines.by_key,
    "SQL, each document once": baselines.by_document,
}


def measure(
    place: Place,
    series: Sequence[str],
    now: datetime,
    lengths: dict[str, timedelta],
    ways: Sequence[str] = tuple(WAYS),
) -> None:
    """Print what each range costs, with one, six and all series."""
    heads = ["range, series", "resolution", "PerfWatch ms", *(f"{way} ms" for way in ways)]
    heads += ["times faster"] if ways else []
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for count, names in {"1": SIX[:1], "6": SIX, f"all {len(series)}": series}.items():
        known = dict.fromkeys(ways, (0.0, timedelta(hours=1)))
        for name, length in lengths.items():
            print(warm(f"{name}, {count}", names, (now - length, now), known), flush=True)
    heads = ["cold, 6 series: ms, MB read, MB of memory", PERFWATCH, *ways]
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, length in lengths.items():
        cells = [cold_cell(place, way, now - length, now) for way in (PERFWATCH, *ways)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def warm(
    title: str,
    names: Sequence[str],
    ends: tuple[datetime, datetime],
    known: dict[str, tuple[float, timedelta]],
) -> str:
    """Return a row of the first table.

    `known` is what each other way took for the range before, and is brought up to date.
    """
    ours = 1000 * fastest(lambda: perfwatch(names, *ends))
    length, cells, times = ends[1] - ends[0], [], []
    for name, (before, of) in known.items():
        way, guess = WAYS[name], before * (length / of)
        sign = "~" if guess > LONGEST_SECONDS else ""
        seconds = guess if sign else fastest(lambda way=way: way(names, *ends))
        known[name] = seconds, length
        cells.append(f"{sign}{1000 * seconds:,.0f}")
        times.append(f"{sign}{1000 * seconds / ours:,.1f}")
    resolution = json.loads(perfwatch(names, *ends))["resolution"]
    row = [title, str(resolution or "samples"), f"{ours:.1f}", *cells]
    return f"| {' | '.join([*row, ', '.join(times)] if known else row)} |"


def cold_cell(place: Place, way: str, start: datetime, end: datetime) -> str:
    """Return a cell of the second table."""
    ends = ["--from", start.isoformat(), "--to", end.isoformat()]
    cost = cold(place, ["benchmarks/ranges.py", "--way", way, *ends])
    read = "?" if cost.read is None else f"{cost.read:,.1f}"
    return f"{1000 * cost.seconds:,.0f}, {read}, {cost.memory:.0f}"


def perfwatch(names: Sequence[str], start: datetime, end: datetime) -> str:
    """Return the API's answer."""
    from metrics.api import answer
    from metrics.history import history

    return answer(history(names, start, end, baselines.POINTS, end))


def sent(now: datetime, length: timedelta) -> str:
    """Return what six series weigh on the wire."""
    text = perfwatch(SIX, now - length, now)
    return (
        f"{len(text) / 1000:.0f} KB, gzipped {len(gzip.compress(text.encode(), 6)) / 1000:.0f} KB"
    )


def main() -> None:
    """Be the process of a cold run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=(PERFWATCH, *WAYS), required=True)
    parser.add_argument("--from", type=datetime.fromisoformat, required=True, dest="start")
    parser.add_argument("--to", type=datetime.fromisoformat, required=True)
    parser.add_argument("--servers", required=True)
    asked = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "perfwatch_site.settings"
    import django

    django.setup()
    # What is imported in this moment would count.
    import metrics.api
    import metrics.history
    import metrics.models  # noqa: F401

    way = {PERFWATCH: perfwatch, **WAYS}[asked.way]
    servers = [int(one) for one in asked.servers.split(",") if one]
    report(servers, lambda: way(SIX, asked.start, asked.to))


if __name__ == "__main__":
    main()
