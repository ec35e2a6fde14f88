"""What the live page and its fragment show, from the rows of the window."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils.html import json_script
from django.utils.safestring import SafeString

from metrics import formats
from metrics.charts import CHARTS, GROUPS, Chart
from metrics.collectors import devices, lookup
from metrics.columns import CompactEncoder
from metrics.documents import inner, number
from metrics.drawing import (
    Choice,
    absences,
    active,
    choose,
    described,
    is_there,
    kinds,
    lines_of,
    most_drawn,
)
from metrics.freshness import State, freshness
from metrics.querysets.snapshots import Row, Rows, SnapshotQuerySet
from metrics.series import Point, columns, declared, marks, milliseconds, thinned
from metrics.spooled import spooled
from metrics.tiles import TILES, read_tile, summary, worst
from metrics.verdict import verdict

MOST_POINTS = 500
"""Rows that one poll brings at most; the next poll brings the rest."""

MOST_ROWS = 3_600
MOST_DRAWN = 360
"""Points of a line with which the page arrives at most: a chart is some 400 pixels wide."""

AHEAD = timedelta(minutes=1)
"""How far ahead of this host's clock a sample may be and still be drawn."""

POLL_SECONDS = (1, 10)
"""However fast or slow samples come, the page asks at least and at most this often."""

KINDS = kinds(strips=False)


class View(NamedTuple):
    """What a page shows: how long back, and which devices (by the key of their kind).

    `auto` are the kinds of which nobody chose devices, `absent` the charts that are left out. A
    page says all of it with each poll, because only it knows what it draws.
    """

    window: timedelta
    devices: Mapping[str, Sequence[str]]
    auto: Sequence[str] = ()
    absent: Sequence[str] = ()


def news(rows: SnapshotQuerySet, view: View, cursor: int, now: datetime) -> dict[str, Any] | None:
    """Return the fragment's context for a page that has all up to the row `cursor`.

    0 is the cursor of a page that was opened before the first sample. None where the page has to
    be loaded again: the row of the cursor is gone, or there is a device or a chart that it lacks.
    """
    start = now - view.window
    previous = None
    if not cursor:
        points, interval = rows.window(start, now + AHEAD, MOST_POINTS)
        by_id = sorted(points, key=lambda row: row.id)
    else:
        by_id, interval = rows.after(cursor, start, MOST_POINTS)
        if not by_id:
            return None
        previous = by_id[0] if by_id[0].id == cursor else None
        points = sorted(by_id[1:] if previous else by_id, key=lambda row: row.timestamp)
    # A page that is far behind gets the rest with the next poll, but the newest numbers now.
    newest = rows.newest() if len(points) == MOST_POINTS else Rows(by_id[-1:], interval)
    if points and _lacks(view, newest.rows[0].data):
        return None
    next_cursor = by_id[-1].id if by_id else 0
    choices = {kind.key: Choice(kind, (), tuple(view.devices[kind.key])) for kind in KINDS}
    charts = [chart for chart in CHARTS if chart.key not in view.absent]
    drawn = _drawn(points, _series(charts, choices, newest), now, previous)
    return _fragment(newest, now, view) | {
        "cursor": next_cursor,
        "poll": True,
        "points": _script(drawn | _times(newest, view, now)),
    }


def page(rows: SnapshotQuerySet, view: View, now: datetime) -> dict[str, Any]:
    """Return the context of `live.html`: the fragment's, the charts and what can be chosen."""
    points = rows.window(now - view.window, now + AHEAD, MOST_ROWS).rows
    newest = rows.newest()
    data = newest.rows[0].data if newest.rows else {}
    documents = [row.data for row in points] or [data]
    choices = {kind.key: choose(kind, documents, view.devices[kind.key]) for kind in KINDS}
    there = [chart for chart in CHARTS if is_there(chart, documents)]
    absent = [chart for chart in CHARTS if chart not in there]
    drawn = _drawn(points, _series(there, choices, newest), now)
    drawn = thinned(drawn, MOST_DRAWN, _banded(there, choices))
    return _fragment(newest, now, view) | {
        "cursor": newest.rows[0].id if newest.rows else 0,
        "points": _script(drawn | _times(newest, view, now)),
        "drawn": [(key, name) for key, choice in choices.items() for name in choice.drawn],
        "auto": [key for key, chosen in view.devices.items() if not chosen],
        "absent": [chart.key for chart in absent],
        "groups": [
            {
                "title": group,
                "charts": [
                    described(chart, [] if chart.strip else lines_of(chart, choices), data)
                    for chart in there
                    if chart.group == group
                ],
                "choices": [
                    choice
                    for kind, choice in zip(KINDS, choices.values(), strict=True)
                    if any(chart.group == group and chart.devices is kind for chart in CHARTS)
                ],
                "absent": absences((c for c in absent if c.group == group), data)
                if newest.rows
                else [],
            }
            for group in GROUPS
        ],
    }


def _fragment(newest: Rows, now: datetime, view: View) -> dict[str, Any]:
    """Return tiles and status of the newest row."""
    row = newest.rows[0] if newest.rows else None
    data = row.data if row else {}
    fresh = freshness(row.timestamp if row else None, newest.interval, now)
    readings = [read_tile(tile, data) for tile in TILES]
    # Rates are differences: the very first sample has none.
    first = lookup(data, "sampler.status.cpu") == "ok" and not _has_rates(data)
    return {
        "readings": readings,
        "summary": summary(readings) if fresh.state is State.LIVE else "",
        "level": worst(readings),
        "verdict": verdict(
            lambda path: lookup(data, path), lookup(data, "perf_events.reason") or ""
        )
        if fresh.state is State.LIVE
        else None,
        "fresh": fresh,
        "spooled": spooled().words(),
        "first": first,
        "age": formats.duration(fresh.age),
        "host": {
            "name": lookup(data, "host.name"),
            "uptime": formats.duration(number(lookup(data, "host.uptime_seconds"))),
            "cpus": lookup(data, "cpu.core_count"),
        },
    }


def _has_rates(data: Mapping[str, Any]) -> bool:
    return lookup(data, "cpu.usage_percent") is not None


def _series(charts: Sequence[Chart], choices: Mapping[str, Choice], newest: Rows) -> list[str]:
    """Return the series of the charts and of all tiles, each once."""
    data = newest.rows[0].data if newest.rows else {}
    lines = [
        line.series
        for chart in charts
        for line in ([] if chart.strip else lines_of(chart, choices))
    ]
    rows_of_strips = [
        line.series.replace("*", name)
        for chart in charts
        if chart.strip
        for line in chart.lines
        for name in devices(data, declared(line.series))
    ]
    certainties = [chart.certainty for chart in charts if chart.certainty]
    tiles = [
        path for tile in TILES for one in (tile, tile.instead) if one for _, path in one.fields
    ]
    return list(dict.fromkeys([*lines, *rows_of_strips, *certainties, *tiles]))


def _banded(charts: Sequence[Chart], choices: Mapping[str, Choice]) -> set[str]:
    """Return the series of which charts show how far they went: lines, but not stacks."""
    lines = [chart for chart in charts if not chart.stacked and not chart.strip]
    return {line.series for chart in lines for line in lines_of(chart, choices)}


def _drawn(
    points: Iterable[Row], series: list[str], now: datetime, previous: Row | None = None
) -> dict[str, Any]:
    """Return the columns and marks of the rows; `previous` is the row before them.

    What the clock calls the future is not drawn: it was set back.
    """
    past = [Point(row.timestamp, row.data) for row in points if row.timestamp <= now + AHEAD]
    before = previous and Point(previous.timestamp, previous.data)
    return columns(past, series, before) | {"marks": marks(past, before)}


def _times(newest: Rows, view: View, now: datetime) -> dict[str, Any]:
    """Return what the page's clock needs, in ms, and which collectors have nothing, and why."""
    low, high = POLL_SECONDS
    status = inner(newest.rows[0].data, "sampler", "status") if newest.rows else {}
    return {
        "now": milliseconds(now),
        "ahead": round(AHEAD.total_seconds() * 1000),
        "window": round(view.window.total_seconds() * 1000),
        "poll": 1000 * min(max(newest.interval or low, low), high),
        "missing": {name: text for name, text in status.items() if text != "ok"},
    }


def _script(points: dict[str, Any]) -> SafeString:
    """Return the element that brings the points to the page: a sixth shorter without blanks."""
    return json_script(points, "points", encoder=CompactEncoder)


def _lacks(view: View, data: Mapping[str, Any]) -> bool:
    """Whether a row has what a chart was left out for, or a device for which there is room."""
    if any(chart.key in view.absent and is_there(chart, [data]) for chart in CHARTS):
        return True
    return any(
        kind.key in view.auto
        and len(view.devices[kind.key]) < most_drawn(kind)
        and not active(kind, data).keys() <= set(view.devices[kind.key])
        for kind in KINDS
    )
