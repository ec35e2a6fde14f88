"""A month as it was sampled: `python benchmarks/month.py --database postgresql --cores 8`.

Fills a database of its own with 30 days at 5 s, nothing folded, and prints Markdown: its size, what
rolling up costs, ranges of time, comparing, the specification's slow queries, rehearsing, exporting
and deleting. `--quick` does the same with two days at 30 s, to see that all of it runs.
"""

from datetime import datetime, timedelta

import comparing
import export
import forgetting
import ranges
import rolling_up
import sizes
import slow_queries
import synthetic
from own_database import Place, database, heading, options


def main() -> None:
    """Fill, measure and print."""
    asked = options(__doc__)
    days, interval, upkeep = (2, 60, 30) if asked.quick else (30, synthetic.INTERVAL, 1_440)
    with database(asked.database) as place:
        host, now = synthetic.Host(asked.cores), synthetic.moment()
        build(place, host, now, (days, interval, upkeep))
        read(place, synthetic.series_of(host.text(now)), now, days)
        if asked.cores == synthetic.USUAL_CORES:
            the_rest(place, now, days)


def build(place: Place, host: synthetic.Host, now: datetime, scale: tuple[int, int, int]) -> None:
    """Fill the database and roll it up; print what that takes.

    The scale is days, the seconds between two samples, and minutes of upkeep.
    """
    from metrics import maintenance

    days, interval, upkeep = scale
    start = now - timedelta(days=days)
    heading(f"Size of {days} days every {interval} s, nothing folded")
    print(sizes.HEAD)
    synthetic.fill(synthetic.samples(host, start, now, interval))
    maintenance.do("vacuum", now)
    sizes.row("without roll-ups")
    heading("Rolling up")
    print(rolling_up.HEAD)
    rolling_up.at_once(place, now, f"{days} days")
    rolling_up.upkeep(place, now, upkeep)
    print()
    print(sizes.HEAD)
    sizes.row("with roll-ups", "month")


def read(place: Place, series: list[str], now: datetime, days: int) -> None:
    """Measure reading."""
    lengths = {"1 h": 1 / 24, "24 h": 1, "7 d": 7, "30 d": 30}
    some = {name: timedelta(days=length) for name, length in lengths.items() if length <= days}
    heading("Ranges of time")
    ranges.measure(place, series, now, some)
    print(f"\n24 h of six series: {ranges.sent(now, timedelta(days=1))}")
    heading("Comparing 24 h with the 24 h before")
    comparing.measure(place, now)


def the_rest(place: Place, now: datetime, days: int) -> None:
    """Measure what depends little on the number of cores."""
    heading("Slow queries of the specification")
    slow_queries.measure(now, days)
    heading("Rehearsing")
    forgetting.rehearse(now, days)
    heading("Exporting")
    export.measure(now - timedelta(days=days), now)
    heading("Deleting")
    forgetting.delete(place, now, days * 18 // 30)


if __name__ == "__main__":
    main()
