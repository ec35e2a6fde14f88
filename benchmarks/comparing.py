"""What comparing two stretches over all series of the history page costs, beside one stretch."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from own_database import Place, cheapest, fastest

if TYPE_CHECKING:
    from metrics.history import History


def measure(place: Place, now: datetime, length: timedelta = timedelta(days=1)) -> None:
    """Print both, and the ranking of all series."""
    from django.http import QueryDict

    from metrics.api import answer
    from metrics.comparison import changes
    from metrics.forms import HistoryForm, validated
    from metrics.history import history
    from metrics.history_page import COMPARED_POINTS, compared, titles

    start = now - length
    ends = f"from={start:%Y-%m-%dT%H:%M:%SZ}&to={now:%Y-%m-%dT%H:%M:%SZ}"
    asked = validated(HistoryForm, QueryDict(f"{ends}&compare=previous"), now=now)
    names = sorted(titles(asked, now))

    def read(since: datetime, points: int) -> "History":
        return history(names, since, since + length, points, now)

    print("| | ms | CPU ms | times one stretch |\n|---|---|---|---|")
    for points in (720, COMPARED_POINTS):
        title = f"{len(names)} series, {points} points"

        def one(points: int = points) -> None:
            answer(read(start, points))

        def two(points: int = points) -> None:
            found = [read(since, points) for since in (start, start - length)]
            changes(*found)
            [answer(each) for each in found]

        base = told(place, f"{title}: one stretch", one)
        told(place, f"{title}: two stretches, ranked", two, base)
    stretches = [read(since, COMPARED_POINTS) for since in (start, start - length)]
    told(place, "ranking of what was read", lambda: changes(*stretches), base)
    told(place, "the page's list, read and ranked", lambda: compared(asked, now), base)


def told(place: Place, title: str, run: Callable[[], object], base: float = 0) -> float:
    """Print a row and return the CPU time: other work on the machine hardly changes that."""
    cpu = cheapest(place, run)
    base = base or cpu
    row = f"{1000 * fastest(run):.0f} | {1000 * cpu:.0f} | {cpu / base:.2f}"
    print(f"| {title} | {row} |", flush=True)
    return cpu
