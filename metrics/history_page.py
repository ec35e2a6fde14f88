"""What the history page shows: the stretch, the charts, and who was busy at a moment of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from metrics.charts import CHARTS, DEVICES, GROUPS, Chart, Devices
from metrics.collectors import lookup
from metrics.collectors.fields import Unit
from metrics.comparison import Change, changes
from metrics.drawing import Choice, absences, described, is_there, lines_of, most_drawn
from metrics.formats import NOT_AVAILABLE, Text, duration, text_of
from metrics.history import Line as HistoryLine
from metrics.history import history, series_names
from metrics.models import ArchivePolicy
from metrics.querysets.snapshots import snapshots
from metrics.querysets.values import Look
from metrics.series import milliseconds, natural
from metrics.verdict import FIELDS, Verdict, verdict

DAY = 86_400
PRESETS = {
    "5m": 300,
    "15m": 900,
    "1h": 3_600,
    "6h": 21_600,
    "24h": DAY,
    "7d": 7 * DAY,
    "30d": 30 * DAY,
    "90d": 90 * DAY,
    "1y": 365 * DAY,
}
"""Seconds of the ranges that one click chooses."""

MOST_STRIPS = 64
"""Rows of a strip that are drawn when nobody chose any."""

RANK_POINTS = 100
VERDICT_POINTS = 60
COMPARED_POINTS = 300
REMARKABLE = 6.0
"""Of hundreds of series that did not change, the highest score by chance is 4 or 5."""

COMPARED = {
    "": "nothing",
    "previous": "the period before",
    "yesterday": "yesterday (24 h before)",
    "week": "last week (7 days before)",
}
"""What a stretch can be compared with, by its name in the address."""

LOOK_SPAN = timedelta(hours=1)
"""How much of a point is searched for who was busy: a point can stand for days."""

LOOK_MARGIN = timedelta(seconds=60)
"""Processes are looked at twice a minute, so a shorter stretch may lie between two looks."""


class Preset(NamedTuple):
    """A range of one click; `why_not` is a sentence where it would show nothing more."""

    name: str
    chosen: bool
    why_not: str


class Process(NamedTuple):
    """One of the busiest, in words."""

    name: str
    pid: str
    user: str
    cpu: Text
    memory: Text


class Moment(NamedTuple):
    """Who was busy, and whether the host rebooted, in the stretch of one point."""

    start: datetime
    end: datetime
    look: Look | None
    tables: list[tuple[str, list[Process]]]
    booted: datetime | None


class ComparedRow(NamedTuple):
    """One series of two stretches, in words: pairs are this one's and the other's."""

    title: str
    series: str
    mean: list[Text]
    p95: list[Text]
    maximum: list[Text]
    difference: str
    percent: str
    score: float | None

    @property
    def remarkable(self) -> bool:
        """Whether it changed by more than chance explains."""
        return self.score is not None and self.score >= REMARKABLE


class TableRow(NamedTuple):
    """The statistics of one series, in words."""

    label: str
    minimum: Text
    mean: Text
    p95: Text
    maximum: Text
    last: Text


def page(asked: Mapping[str, Any], query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the context of `history.html`. `query` are the parameters as they were written."""
    start, end = asked["from"], asked["to"]
    newest = snapshots().latest_documents(1)
    data = newest[0] if newest else {}
    choices = _choices(asked, now)
    wanted, there = _charts(asked, newest)
    oldest = snapshots().first_moment()
    return {
        "compare": asked["compare"],
        "compared": COMPARED
        | ({} if asked["compare"] in COMPARED else {asked["compare"]: "custom"}),
        "from": query.get("from") or "now-24h",
        "to": query.get("to") or "now",
        "start": milliseconds(start),
        "end": milliseconds(end),
        "presets": _presets(query, oldest, now),
        "oldest": oldest,
        "catalogue": [(chart.key, chart.title, chart in wanted) for chart in CHARTS],
        "groups": [
            {
                "title": group,
                "charts": [
                    _described(chart, choices, data) for chart in there if chart.group == group
                ],
                "choices": [
                    choices[kind.key]
                    for kind in DEVICES
                    if any(chart.group == group and chart.devices is kind for chart in there)
                ],
                "absent": absences(
                    (c for c in wanted if c not in there and c.group == group), data
                ),
            }
            for group in GROUPS
            if any(chart.group == group for chart in wanted)
        ],
        "tables": _tables(there, choices, start, end, now) if asked["tables"] else [],
        "verdict": verdict_of(start, end, now) if asked["tables"] else None,
    }


def verdict_of(start: datetime, end: datetime, now: datetime) -> Verdict:
    """Return what the CPUs did in a stretch, by the means of all of its samples."""
    found = history(FIELDS, start, end, VERDICT_POINTS, now)
    means = {line.name: line.statistics.mean for line in found.lines}
    newest = snapshots().latest_documents(1)
    reason = lookup(newest[0], "perf_events.reason") if newest else None
    return verdict(means.get, reason or "")


def titles(asked: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return the series that the page shows, each once, with chart and label."""
    choices = _choices(asked, now)
    _, there = _charts(asked, snapshots().latest_documents(1))
    found: dict[str, str] = {}
    for chart in there:
        for line in lines_of(chart, choices):
            title = f"{chart.title}: {line.label}" if line.label else chart.title
            found.setdefault(line.series, title)
    return found


def compared(asked: Mapping[str, Any], now: datetime) -> list[ComparedRow]:
    """Return how every series of the page changed, the most remarkable first."""
    shown = titles(asked, now)
    names = sorted(shown)
    if not names or asked["offset"] is None:
        return []
    start, end, offset = asked["from"], asked["to"], timedelta(seconds=asked["offset"])
    this = history(names, start, end, COMPARED_POINTS, now)
    other = history(names, start - offset, end - offset, COMPARED_POINTS, now)
    return [_compared(change, shown[change.line.name]) for change in changes(this, other)]


def moment(at: datetime, step: int) -> Moment:
    """Return who was busy in the `step` seconds from `at` on, and whether the host rebooted."""
    end = at + min(timedelta(seconds=step), LOOK_SPAN)
    looks = snapshots().looks(at - LOOK_MARGIN, end + LOOK_MARGIN)
    inside = [look for look in looks if at <= look.timestamp < end]
    # Of a point that stands for many looks, the busiest; else the nearest.
    look = max(inside, key=lambda one: one.cpu_percent, default=None) or min(
        looks, key=lambda one: abs(one.timestamp - at), default=None
    )
    return Moment(
        start=at,
        end=at + timedelta(seconds=step),
        look=look,
        tables=_ranks(look) if look else [],
        booted=snapshots().booted_within(at, at + timedelta(seconds=step)),
    )


def _choices(asked: Mapping[str, Any], now: datetime) -> dict[str, Choice]:
    return {
        kind.key: _choose(kind, asked[kind.key], asked["from"], asked["to"], now)
        for kind in DEVICES
    }


def _charts(
    asked: Mapping[str, Any], newest: Sequence[Mapping[str, Any]]
) -> tuple[list[Chart], list[Chart]]:
    """Return the charts that are wanted, and those of them that the host has something for."""
    chosen = asked["chart"]
    wanted = [chart for chart in CHARTS if not chosen or chart.key in chosen]
    there = [c for c in wanted if not newest or is_there(c, newest) or c.key in chosen]
    return wanted, there


def _compared(change: Change, title: str) -> ComparedRow:
    unit = change.line.unit
    signed = "" if change.difference is None or change.difference < 0 else "+"
    return ComparedRow(
        title=title,
        series=change.line.name,
        mean=[text_of(number, unit) for number in change.mean],
        p95=[text_of(number, unit) for number in change.p95],
        maximum=[text_of(number, unit) for number in change.maximum],
        difference=f"{signed}{text_of(change.difference, unit)}",
        percent=_percent(change),
        score=change.score,
    )


def _percent(change: Change) -> str:
    now, then = change.mean
    if (now is None) != (then is None):
        return "new" if then is None else "gone"
    percent = change.percent
    return NOT_AVAILABLE if percent is None else f"{percent:+.{0 if abs(percent) >= 10 else 1}f} %"


def _presets(query: Mapping[str, str], oldest: datetime | None, now: datetime) -> list[Preset]:
    policy = ArchivePolicy.current()
    kept = timedelta(days=policy.retention_days) if policy.archive_enabled else timedelta.max
    found = max(kept, now - oldest) if oldest else kept
    asked = query.get("from") or "now-24h"
    return [
        Preset(
            name,
            chosen=asked == f"now-{name}" and (query.get("to") or "now") == "now",
            why_not=f"Only the last {duration(found.total_seconds())} are kept."
            if timedelta(seconds=seconds) > found
            else "",
        )
        for name, seconds in PRESETS.items()
    ]


def _choose(
    kind: Devices, chosen: Sequence[str], start: datetime, end: datetime, now: datetime
) -> Choice:
    """Return the devices that the range has, and which to draw: the most active of many."""
    names = {path: _names(path, start, end, now) for path in kind.rank}
    known = sorted({name for found in names.values() for name in found}, key=natural)
    strip = any(chart.strip for chart in CHARTS if chart.devices is kind)
    most = MOST_STRIPS if strip else most_drawn(kind)
    if len(known) > most and not strip:
        known = _ranked(known, names, start, end, now)
    return Choice(kind, tuple(known), tuple(chosen or known[:most]))


def _names(path: str, start: datetime, end: datetime, now: datetime) -> list[str]:
    prefix, _, suffix = path.partition("*")
    return [
        name[len(prefix) : len(name) - len(suffix)] for name in series_names(path, start, end, now)
    ]


def _ranked(
    known: Sequence[str],
    names: Mapping[str, Sequence[str]],
    start: datetime,
    end: datetime,
    now: datetime,
) -> list[str]:
    paths = {path.replace("*", name): name for path, found in names.items() for name in found}
    activity = dict.fromkeys(known, 0.0)
    for line in history(list(paths), start, end, RANK_POINTS, now).lines:
        activity[paths[line.name]] += line.statistics.mean or 0.0
    return sorted(known, key=activity.__getitem__, reverse=True)


def _described(
    chart: Chart, choices: Mapping[str, Choice], data: Mapping[str, Any]
) -> dict[str, Any]:
    return described(chart, lines_of(chart, choices), data) | {"history": True}


def _tables(
    charts: Sequence[Chart],
    choices: Mapping[str, Choice],
    start: datetime,
    end: datetime,
    now: datetime,
) -> list[tuple[str, list[TableRow]]]:
    """Return the statistics of all lines, chart by chart: the page's numbers without scripts."""
    lines = {chart: lines_of(chart, choices) for chart in charts}
    names = list(dict.fromkeys(line.series for drawn in lines.values() for line in drawn))
    if not names:
        return []
    answered = {line.name: line for line in history(names, start, end, RANK_POINTS, now).lines}
    return [
        (
            chart.title,
            [
                TableRow(
                    line.label,
                    *(
                        text_of(n, answered[line.series].unit)
                        for n in answered[line.series].statistics
                    ),
                )
                for line in drawn
            ],
        )
        for chart, drawn in lines.items()
        if drawn
    ]


def _words(line: HistoryLine) -> list[Text]:
    return [text_of(number, line.unit) for number in line.statistics]


def _ranks(look: Look) -> list[tuple[str, list[Process]]]:
    titles = {"top_cpu": "Most CPU", "top_memory": "Most memory"}
    return [
        (title, [_process(rank) for _, rank in sorted(look.processes.get(key, {}).items())])
        for key, title in titles.items()
    ]


def _process(rank: Mapping[str, Any]) -> Process:
    return Process(
        name=rank.get("name") or NOT_AVAILABLE,
        pid=str(rank.get("pid") or ""),
        user=rank.get("user") or NOT_AVAILABLE,
        cpu=text_of(rank.get("cpu_percent"), Unit.PERCENT),
        memory=text_of(rank.get("rss_bytes"), Unit.BYTES),
    )
