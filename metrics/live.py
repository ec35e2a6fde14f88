"""What the live page and its fragment show, from the rows of the window."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from metrics import formats
from metrics.charts import CHARTS, TILES, drawn_series, maximum_of, read_tile
from metrics.collectors import lookup
from metrics.health import State, freshness
from metrics.querysets import Row
from metrics.series import Point, columns, milliseconds

WINDOW = timedelta(minutes=15)
MOST_POINTS = 500
"""Rows that one poll brings at most; the next poll brings the rest."""

MOST_ROWS = 3_600
POLL_SECONDS = (1, 10)
"""However fast or slow samples come, the page asks at least and at most this often."""


def fragment(
    rows: Sequence[Row], newest: Row | None, now: datetime, previous: Row | None = None
) -> dict[str, Any]:
    """Return the context of `_live.html`: tiles and status of `newest`, points of `rows`.

    `previous` is the row before those, which the page has already.
    """
    data = newest.data if newest else {}
    interval = newest.interval if newest else None
    fresh = freshness(newest.timestamp if newest else None, interval, now)
    readings = [read_tile(tile, data) for tile in TILES]
    series = dict.fromkeys([*drawn_series(), *(reading.series for reading in readings)])
    points = columns(
        (Point(row.timestamp, row.data) for row in rows),
        list(series),
        previous and Point(previous.timestamp, previous.data),
    )
    low, high = POLL_SECONDS
    return {
        "cursor": newest.id if newest else 0,
        "readings": readings,
        "fresh": fresh,
        "stale": fresh.state is not State.LIVE,
        "age": formats.duration(fresh.age),
        "points": points
        | {
            "now": milliseconds(now),
            "window": round(WINDOW.total_seconds() * 1000),
            "poll": 1000 * min(max(interval or low, low), high),
        },
    }


def page(rows: Sequence[Row], newest: Row | None, now: datetime) -> dict[str, Any]:
    """Return the context of `live.html`: the fragment's, the charts and who the host is."""
    data = newest.data if newest else {}
    return fragment(rows, newest, now) | {
        "charts": [
            {
                "key": chart.key,
                "title": chart.title,
                "unit": chart.unit,
                "stacked": chart.stacked,
                "maximum": maximum_of(chart, data),
                "lines": [asdict(line) for line in chart.lines],
            }
            for chart in CHARTS
        ],
        "host": {
            "name": lookup(data, "host.name"),
            "uptime": formats.duration(lookup(data, "host.uptime_seconds")),
            "cpus": lookup(data, "cpu.core_count"),
        },
    }
