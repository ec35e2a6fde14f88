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
from metrics.querysets import Row, Rows
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


def page(points: Sequence[Row], newest: Rows, now: datetime) -> dict[str, Any]:
    """Return the context of `live.html`: the fragment's, and the charts."""
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
