"""Samples as a host leaves them in a month or a year, made quickly and stored in bulk.

A real document of this host whose numbers follow the hour and the day of the week, with noise of
their own. No two documents are alike: what is alike is compressed away too easily.
"""

import json
import math
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from own_database import ROOT  # noqa: F401  finds the project

from metrics.tests.made_samples import MODES, RARE, SLOW, STILL, USUAL

USUAL_CORES = 8
INTERVAL = 5
PER_DAY = 86_400 // INTERVAL
LATE = timedelta(milliseconds=2)
"""Samples come a moment after their time."""

IN_AN_HOUR = 12
"""Samples that a folded hour is made of here: the document is as large as one of 720."""

PORTION = 10_000

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
"""Ids count the intervals since then: folding leaves the highest of a bucket, and gaps."""


MARKS = {"timestamp": "@timestamp", "sampler.id": "@id"}
MARKS |= {"sampler.interval_seconds": "@interval", "processes": "@processes"}
FORMATS = ("%d", "%.2f", "%.3f")


class Term(NamedTuple):
    """How a number is made: start + speed × seconds + level × (size + noise × z)."""

    start: float
    speed: float
    size: float
    noise: float


class Host:
    """A host that is sampled; `text` is its document at a moment."""

    def __init__(self, cores: int, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._terms: list[Term] = []
        self._rare: list[int] = []
        real = _real()
        _make_complete(real, cores)
        looks = json.dumps(real["processes"], separators=(",", ":"))
        real["processes"] = MARKS["processes"]
        pattern = json.dumps(self._pattern(real, ""), separators=(",", ":"))
        for form in FORMATS:
            pattern = pattern.replace(f'"{form}"', form)
        mark = f'"{MARKS["processes"]}"'
        self._with_looks = pattern.replace(mark, looks)
        self._without = pattern.replace(mark, '{"top_cpu":{},"top_memory":{}}')
        self._noise = [min(2.0, max(-2.0, self._random.gauss(0, 1))) for _ in range(20_011)]

    def text(self, at: datetime, interval: float = INTERVAL) -> str:
        """Return the document of a moment as JSON."""
        chance, level, seconds = self._random, _level(at), at.timestamp() - EPOCH.timestamp()
        first = chance.randrange(len(self._noise) - len(self._terms))
        noise = self._noise[first : first + len(self._terms)]
        values: list[Any] = [
            start + speed * seconds + level * (size + share * z)
            for (start, speed, size, share), z in zip(self._terms, noise, strict=True)
        ]
        if self._rare:
            values[chance.choice(self._rare)] = chance.randrange(1, 40)
        looked = int(seconds / INTERVAL) % 6 == 0  # twice a minute
        form = self._with_looks if looked else self._without
        text = form % tuple(values)
        moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        text = text.replace("@timestamp", moment, 1).replace('"@interval"', f"{interval:.1f}", 1)
        return text.replace("@id", f"{chance.getrandbits(128):032x}", 1)

    def _pattern(self, value: Any, path: str) -> Any:
        """Return the document with printf formats in place of numbers, and note their terms."""
        if isinstance(value, dict):
            if value.get("is_up") is False:
                return value
            return {
                name: self._pattern(one, f"{path}.{name}".strip(".")) for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._pattern(one, f"{path}.{number}") for number, one in enumerate(value)]
        if path in MARKS or isinstance(value, str):
            return MARKS.get(path) or value
        return self._number(value, path) if isinstance(value, int | float) else value

    def _number(self, value: float, path: str) -> Any:
        from metrics.collectors import field_of
        from metrics.collectors.fields import Kind, Unit

        field = field_of(path)
        if not field or field.kind in {Kind.CAPACITY, Kind.STATE} or path in STILL:
            return value
        is_rare = bool(RARE.search(path))
        if is_rare:
            self._rare.append(len(self._terms))
        self._terms.append(_term(field, path, value or USUAL.get(field.unit, 40), is_rare=is_rare))
        if isinstance(value, int):
            return "%d"
        return "%.2f" if field.unit is Unit.PERCENT else "%.3f"


def _term(field: Any, path: str, size: float, *, is_rare: bool) -> Term:
    from metrics.collectors.fields import Kind, Unit

    if is_rare:
        return Term(0, 0, 0, 0)
    if field.kind is Kind.COUNTER:
        return Term(size, 1_000, 0, 0)
    if path == "host.uptime_seconds":
        return Term(size, 1, 0, 0)
    if field.kind is Kind.GAUGE and SLOW.search(path):
        return Term(0.8 * size, 0, 0.2 * size, 0.005 * size)
    if field.unit is Unit.PERCENT:
        size = min(size, 30.0)  # never above 100
    return Term(0, 0, size, 0.4 * size)


def _level(at: datetime) -> float:
    """Return how busy people keep the host: most in the afternoon, less on Sundays."""
    day = 1 + 0.4 * math.sin(2 * math.pi * (at.hour + at.minute / 60 - 9) / 24)
    return day * (0.6 if at.weekday() >= 5 else 1)


def _real() -> dict[str, Any]:
    """Return a sample of this host with processes in it."""
    from metrics.sampling import Sampler
    from metrics.watched import watched_host

    sampler = Sampler(watched_host())
    sampler.sample(interval=INTERVAL)
    found = sampler.sample(interval=INTERVAL).data
    sampler.close()
    return found


def _make_complete(real: dict[str, Any], cores: int) -> None:
    """Give the document what a machine of its own has, where this one is virtual."""
    cpu = real["cpu"]
    cpu |= {"per_core": [20.0] * cores, "core_count": cores, "idle_percent": 30.0}
    cpu |= {f"{mode}_percent": 4.0 for mode in MODES if not RARE.search(mode)}
    cpu |= {"usage_percent": 20.0, "temperature_celsius": cpu["temperature_celsius"] or 50.0}
    events = real["perf_events"]
    for name in ("cycles", "instructions", "cache_references", "cache_misses"):
        events[name] = 10**9 * cores
    for name in ("branch_instructions", "branch_misses", "dtlb_load_misses"):
        events[name] = 10**8 * cores
    events |= {"ipc": 1.0, "cache_miss_percent": 5.0, "branch_miss_percent": 2.0}


Row = tuple[int, datetime, str]


def fill(rows: Iterable[Row], *, analyze: bool = True) -> None:
    """Store rows of id, time and document, and have the database know its tables."""
    from django.db import connection

    if connection.vendor == "postgresql":
        _copy(rows)
    else:
        _insert(rows)
    if analyze:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _copy(rows: Iterable[Row]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        table = "metrics_snapshot (id, timestamp, metric_type, metric_data)"
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for id, at, text in rows:
                document = text.replace("\\", "\\\\")
                copy.write(f"{id}\t{at.isoformat()}\taggregated\t{document}\n")
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('metrics_snapshot', 'id'), max(id))"
            " FROM metrics_snapshot"
        )


def _insert(rows: Iterable[Row]) -> None:
    from django.db import connection, transaction

    left = iter(rows)
    while portion := list(islice(left, PORTION)):
        with transaction.atomic():
            # Django's own cursor would keep all that it was given.
            connection.connection.executemany(
                "INSERT INTO metrics_snapshot (id, timestamp, metric_type, metric_data)"
                " VALUES (?, ?, 'aggregated', ?)",
                [(id, f"{at:%Y-%m-%d %H:%M:%S.%f}", text) for id, at, text in portion],
            )


def samples(
    host: Host, start: datetime, end: datetime, seconds: int = INTERVAL, unit: int = INTERVAL
) -> Iterator[Row]:
    """Yield a sample every so many seconds; ids grow by one in `unit` seconds."""
    while start < end:
        at = start + LATE
        yield id_at(start, unit), at, host.text(at, seconds)
        start += timedelta(seconds=seconds)


def hours(host: Host, start: datetime, end: datetime) -> Iterator[Row]:
    """Yield what folding leaves of each hour."""
    from metrics.folding import Fold

    step = 3_600 // IN_AN_HOUR
    while start < end:
        fold = Fold(int(start.timestamp()), 3_600)
        for number in range(IN_AN_HOUR):
            at = start + timedelta(seconds=number * step)
            fold.add(json.loads(host.text(at + LATE, step)))
        text = json.dumps(fold.document(), separators=(",", ":"))
        yield id_at(start) + PER_DAY // 24 - 1, start, text
        start += timedelta(hours=1)


def id_at(at: datetime, unit: int = INTERVAL) -> int:
    """Return the id of the sample that is taken at a moment."""
    return int((at - EPOCH).total_seconds()) // unit + 1


def series_of(text: str) -> list[str]:
    """Return the names of all series that a document has."""
    from metrics.buckets import all_series

    found = all_series(json.loads(text))
    return [series.name for series, value in found if isinstance(value, (int, float))]


def moment() -> datetime:
    """Return the time at which synthetic data ends: half past an hour, not long ago."""
    return datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=1)
