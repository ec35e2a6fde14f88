"""How fresh the newest sample is: one judgement for the page and the health check. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from metrics.configuration import DEFAULTS

LEAST_SECONDS = 15
INTERVALS = 3


class State(StrEnum):
    """How fresh the newest sample is."""

    LIVE = "live"
    STALE = "stale"
    EMPTY = "empty"


class Freshness(NamedTuple):
    """The state, and the seconds since the newest sample (None where there is none)."""

    state: State
    age: float | None


def freshness(newest: datetime | None, interval: int | None, now: datetime) -> Freshness:
    """Judge the newest live sample: stale when older than three intervals, at least 15 s.

    A sample from the future is as stale: the clock was set back since it was taken.
    """
    if newest is None:
        return Freshness(State.EMPTY, None)
    age = (now - newest).total_seconds()
    seconds = interval or DEFAULTS["sampling"]["interval_seconds"]
    limit = max(INTERVALS * seconds, LEAST_SECONDS)
    return Freshness(State.LIVE if abs(age) <= limit else State.STALE, max(age, 0.0))
