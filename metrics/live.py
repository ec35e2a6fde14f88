"""What the live page and its fragment show, from the rows of the window."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from metrics import formats
from metrics.charts import CHARTS, TILES, declared, drawn_series, maximum_of, read_tile
from metrics.collectors import lookup
from metrics.formats import SCALES
from metrics.freshness import freshness
from metrics.querysets import Row, Rows, SnapshotQuerySet
from metrics.series import Point, columns, milliseconds

WINDOW = timedelta(minutes=15)
MOST_POINTS = 500
"""Rows that one poll brings at most; the next poll brings the rest."""

MOST_ROWS = 3_600
AHEAD = timedelta(minutes=1)
"""How far ahead of this host's clock a sample may be and still be drawn."""

POLL_SECONDS = (1, 10)
"""However fast or slow samples come, the page asks at least and at most this often."""


def fragment(
    points: Sequence[Row],
    newest: Rows,
    cursor: int,
    now: datetime,
    previous: Row | None = None,
) -> dict[str, Any]:
    """Return the context of `_live.html`: tiles and status of `newest`, and the points.

    `cursor` is the row after which the next poll goes on, `previous` the row before the points,
    which the page has already. What the clock calls the future is not drawn: it was set back.
    """
    row = newest.rows[0] if newest.rows else None
    data = row.data if row else {}
    fresh = freshness(row.timestamp if row else None, newest.interval, now)
    readings = [read_tile(tile, data) for tile in TILES]
    series = dict.fromkeys([*drawn_series(), *(tile.field for tile in TILES)])
    drawn = columns(
        (Point(one.timestamp, one.data) for one in points if one.timestamp <= now + AHEAD),
        list(series),
        previous and Point(previous.timestamp, previous.data),
    )
    low, high = POLL_SECONDS
    return {
        "cursor": cursor,
        "readings": readings,
        "fresh": fresh,
        "age": formats.duration(fresh.age),
        "host": {
            "name": lookup(data, "host.name"),
            "uptime": formats.duration(lookup(data, "host.uptime_seconds")),
            "cpus": lookup(data, "cpu.core_count"),
        },
        "points": drawn
        | {
            "now": milliseconds(now),
            "ahead": round(AHEAD.total_seconds() * 1000),
            "window": round(WINDOW.total_seconds() * 1000),
            "poll": 1000 * min(max(newest.interval or low, low), high),
        },
    }


def news(rows: SnapshotQuerySet, cursor: int, now: datetime) -> dict[str, Any] | None:
    """Return the fragment's context for a page that has all up to the row `cursor`.

    0 is the cursor of a page that was opened before the first sample. None where the row of the
    cursor is gone.
    """
    start = now - WINDOW
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
    next_cursor = by_id[-1].id if by_id else 0
    return fragment(points, newest, next_cursor, now, previous) | {"poll": True}


def page(rows: SnapshotQuerySet, now: datetime) -> dict[str, Any]:
    """Return the context of `live.html`: the fragment's, and the charts."""
    points = rows.window(now - WINDOW, now + AHEAD, MOST_ROWS).rows
    newest = rows.newest()
    row = newest.rows[0] if newest.rows else None
    return fragment(points, newest, row.id if row else 0, now) | {
        "charts": [
            {
                "key": chart.key,
                "title": chart.title,
                "scale": asdict(SCALES[declared(chart.lines[0].series).unit]),
                "stacked": chart.stacked,
                "maximum": maximum_of(chart, row.data if row else {}),
                "lines": [asdict(line) for line in chart.lines],
            }
            for chart in CHARTS
        ],
    }
