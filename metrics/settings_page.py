"""What the settings page shows beside its form: what there is, what it costs, what was done."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from metrics import maintenance, sizes
from metrics.changes import Stored
from metrics.collectors.fields import Unit
from metrics.documents import inner, number
from metrics.forecast import policy_of
from metrics.formats import NOT_AVAILABLE, duration, megabytes, text_of
from metrics.kept import Kept, kept
from metrics.querysets.settings import settings_of
from metrics.querysets.snapshots import snapshots

LOOKED_AT = 120
"""So many of the last samples are looked at for what taking them costs."""

SYSTEM = {
    "hostname": "Host",
    "kernel": "Kernel",
    "architecture": "Architecture",
    "cpu_model": "CPU",
    "cores": "Cores",
    "threads": "Threads",
    "memory_bytes": "Memory",
    "boot_time": "Started",
    "container": "Where PerfWatch runs",
    "perf_event_paranoid": "perf_event_paranoid",
    "perfwatch_version": "PerfWatch",
}
JOBS = {
    "vacuum": ("Statistics and free room (vacuum)", "daily"),
    "reindex": ("Indexes (reindex)", "weekly"),
    "compact": ("Files written anew (compact)", "by hand: manage.py maintain compact"),
}


class Line(NamedTuple):
    """A label, what there is to say, and more in small print."""

    label: str
    text: str
    more: str = ""


class Stock(NamedTuple):
    """A line of the table of what is kept."""

    name: str
    rows: str
    size: str
    oldest: datetime | None
    newest: datetime | None
    growth: str


class CollectorLine(NamedTuple):
    """A collector at the newest sample: ok, no data or failed, the reason, and what it took."""

    name: str
    state: str
    reason: str
    cost: str


def facts(now_set: Stored, now: datetime) -> dict[str, Any]:
    """Return the context of the page's sections."""
    interval = now_set.values["interval_seconds"]
    found = kept(policy_of(now_set.values), interval, now)
    disk = sizes.file_bytes()
    newest = snapshots().newest().rows
    data = newest[0].data if newest else {}
    growth = sum(one.bytes_per_day for one in found)
    return {
        "stock": [_stock(one) for one in found],
        "total": Line(
            f"{sum(one.rows for one in found):,}",
            megabytes(sum(one.bytes for one in found)),
            f"+{megabytes(growth)}",
        ),
        "disk": megabytes(disk),
        "collectors": collectors(data),
        "sampled": newest[0].timestamp if newest else None,
        "costs": costs(interval, growth, disk, newest[0].timestamp) if newest else [],
        "system": system(settings_of("system_info").get("system_info"), now),
        "jobs": jobs(now_set, now),
    }


def collectors(data: Mapping[str, Any]) -> list[CollectorLine]:
    """Return how the collectors of a sample did, those that failed first."""
    milliseconds = inner(data, "sampler", "collect_ms")
    lines = []
    for name, status in inner(data, "sampler", "status").items():
        state, _, reason = str(status).partition(": ")
        # Part of what it counts may be missing while all is well.
        reason = reason or inner(data, name).get("reason") or ""
        cost = str(text_of(milliseconds.get(name), Unit.MILLISECONDS))
        lines.append(CollectorLine(name.replace("_", " "), state, reason, cost))
    order = ("failed", "no data", "ok")
    return sorted(lines, key=lambda line: order.index(line.state) if line.state in order else 0)


def costs(interval: int, growth: int, disk: int, newest: datetime) -> list[Line]:
    """Return what the last samples cost, and what PerfWatch takes on disk."""
    paths = [("sampler", name) for name in ("collect_ms", "lateness_ms", "missed_ticks", "dropped")]
    start = newest - timedelta(seconds=LOOKED_AT * interval)
    rows = snapshots().readings(paths, start, newest + timedelta(minutes=1), LOOKED_AT)
    samples = [inner(document, "sampler") for _, document in rows]
    parts = [part for one in samples if (part := inner(one, "collect_ms"))]
    took = [sum(number(value) or 0 for value in part.values()) for part in parts]
    lines = []
    if took:
        mean = sum(took) / len(took)
        share = text_of(mean / interval / 10, Unit.PERCENT)
        lines.append(
            Line(
                "Taking a sample",
                f"{text_of(mean, Unit.MILLISECONDS)}, {share} of one CPU's time",
                f"mean of the last {len(took)}; {text_of(max(took), Unit.MILLISECONDS)} at most",
            )
        )
    found = [number(one.get("lateness_ms")) for one in samples]
    late = [abs(one) for one in found if one is not None]
    if late:
        lines.append(Line("Late by", str(text_of(sum(late) / len(late), Unit.MILLISECONDS))))
    missed = sum(number(one.get("missed_ticks")) or 0 for one in samples)
    lines.append(Line("Left out", f"{missed} of {len(samples) + missed} samples"))
    lost = number(samples[-1].get("dropped")) if samples else None
    if lost:
        lines.append(Line("Lost", f"{lost} samples since the sampler started"))
    lines.append(Line("On disk", megabytes(disk), f"a day adds about {megabytes(growth)}"))
    return lines


def system(found: Any, now: datetime) -> list[Line]:
    """Return what the sampler said of its host when it started."""
    if not isinstance(found, dict):
        return []
    shown = dict(found)
    if "memory_bytes" in shown:
        shown["memory_bytes"] = text_of(shown["memory_bytes"], Unit.BYTES)
    if shown.get("container") is not None:
        shown["container"] = "in a container" if shown["container"] else "on the host"
    booted = _moment(shown.get("boot_time"))
    if booted:
        shown["boot_time"] = f"{booted:%Y-%m-%d %H:%M} UTC"
    more = {"boot_time": ago(booted, now)} if booted else {}
    return [
        Line(
            label,
            NOT_AVAILABLE if shown[name] is None else str(shown[name]),
            more.get(name, ""),
        )
        for name, label in SYSTEM.items()
        if name in shown
    ]


def jobs(now_set: Stored, now: datetime) -> list[Line]:
    """Return what was done last to keep the tables small and tidy."""
    cleaned = now_set.policy.last_archive_run
    often = "hourly" if now_set.values["archive_enabled"] else "switched off"
    done = maintenance.last_done()
    return [
        Line("Cleaned up", ago(cleaned, now), often),
        *(Line(label, ago(done.get(job), now), often) for job, (label, often) in JOBS.items()),
    ]


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago something was."""
    return f"{duration(max(0.0, (now - at).total_seconds()))} ago" if at else "never"


def _stock(one: Kept) -> Stock:
    if one.is_rollup:
        name = f"Roll-ups of {duration(one.seconds)}"
    elif one.seconds is None:
        name = {1.0: "Downsampled", 0.0: "Samples at whole minutes"}.get(
            one.folded, "Downsampled, and samples at whole minutes"
        )
    else:
        name = f"Samples, every {duration(one.seconds)}"
    rows = f"{one.rows:,}" if one.is_exact else f"about {one.rows:,}"
    growth = f"+{megabytes(one.bytes_per_day)}" if one.bytes_per_day else "0"
    return Stock(name, rows, megabytes(one.bytes), one.oldest, one.newest, growth)


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError):
        return None
