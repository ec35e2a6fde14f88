"""What is kept, as time goes by: `python benchmarks/year.py --database postgresql`.

Lets 30 days at 5 s pass in a database of its own: sampled, rolled up and cleaned up by the default
policy every hour, tidied up every day. Then puts eleven months of folded hours before them, as a
policy of a year would have left them. Prints Markdown: sizes, what folding a day costs, and ranges
up to a year. `--quick` does the same with two days every minute and four days of hours.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import forgetting
import ranges
import rolling_up
import sizes
import slow_queries
import synthetic
from own_database import Place, database, fastest, heading, options, roll_up

SETTLED = timedelta(seconds=15)
"""So long after its end a minute is rolled up."""


class Month(NamedTuple):
    """What passes day by day."""

    host: synthetic.Host
    end: datetime
    days: int


def main() -> None:
    """Build, measure and print."""
    asked = options(__doc__)
    days, hours, young, interval = (2, 4, 1, 60) if asked.quick else (30, 335, 7, 5)
    policy = {"downsample_after_days": young}
    with database(asked.database) as place:
        host = synthetic.Host(asked.cores)
        end = synthetic.moment().replace(hour=0, minute=0)
        month = Month(host, end, days)
        pass_by(place, month, interval, policy)
        a_year(place, month, hours, policy | {"retention_days": days + hours})


def pass_by(place: Place, month: Month, interval: int, policy: dict[str, int]) -> None:
    """Let the days pass; print sizes and what folding costs."""
    host, end, days = month
    from metrics.archiving import Policy
    from metrics.rehearsal import rehearsal

    heading(f"Sizes: every {interval} s, default policy")
    print(sizes.HEAD)
    sizes.row("empty", "empty")
    folds: list[forgetting.Work] = []
    told = 0
    for day in range(days, 0, -1):
        start = end - timedelta(days=day)
        work = one_day(place, host, start, interval, policy)
        folds += [work] if work.rows else []
        if day == days:
            sizes.row("after 1 day", "day")
            now = start + timedelta(days=1) + SETTLED
            told = rehearsal(Policy(**policy), now, interval).bytes_in_30_days
    sizes.row(f"after {days} days", "month")
    print(f"\nThe rehearsal of the first day expected {told / 1e6:.0f} MB after 30 days.")
    heading("Folding one day")
    print(forgetting.HEAD)
    print(folds[-1].row("the last day"))
    mean = [sum(values) / len(folds) for values in zip(*(one[:4] for one in folds), strict=True)]
    both = [one for work in folds for one in work.transactions]
    rows, cpu, seconds, steps = mean
    print(forgetting.Work(round(rows), cpu, seconds, round(steps), both).row("mean of the days"))


def one_day(
    place: Place, host: synthetic.Host, start: datetime, interval: int, policy: dict[str, int]
) -> forgetting.Work:
    """Let a day pass as beat does; return what its 24 runs of cleaning up did."""
    from metrics import maintenance

    runs = []
    for hour in range(24):
        begin, end = start + timedelta(hours=hour), start + timedelta(hours=hour + 1)
        synthetic.fill(synthetic.samples(host, begin, end, interval), analyze=False)
        roll_up(end + SETTLED)
        runs.append(forgetting.run(place, end + SETTLED, **policy))
    maintenance.do("vacuum", end + SETTLED)
    rows, cpu, seconds, steps, transactions = zip(*runs, strict=True)
    both = [one for some in transactions for one in some]
    return forgetting.Work(sum(rows), sum(cpu), sum(seconds), sum(steps), both)


def a_year(place: Place, month: Month, hours: int, policy: dict[str, int]) -> None:
    """Put so many days of folded hours before the month, and measure ranges."""
    host, end, days = month
    from metrics import rollups

    first, now = end - timedelta(days=days + hours), end + SETTLED
    synthetic.fill(synthetic.hours(host, first, end - timedelta(days=days)))
    rollups.changed(first, end - timedelta(days=days))
    heading("A year as retention leaves it")
    print(rolling_up.HEAD)
    rolling_up.at_once(place, now, f"{hours} days of folded hours")
    forgetting.run(place, now, **policy)
    print()
    print(sizes.HEAD)
    sizes.row(f"{days + hours} days")
    print()
    series = synthetic.series_of(host.text(end))
    wanted = {"24 h": 1, f"{days} d": days, f"{days + hours} d": days + hours}
    some = {name: timedelta(days=length) for name, length in wanted.items()}
    ranges.measure(place, series, end, some, ways=())
    start = end - timedelta(days=days)
    means = fastest(lambda: slow_queries.rows(slow_queries.hourly_means(), start, end))
    print(f"\nA mean per hour over {days} days of documents: {1000 * means:,.0f} ms")


if __name__ == "__main__":
    main()
