"""Has the roll-ups of a range made anew at once, in large steps."""

import math
import time
from collections.abc import Iterator
from datetime import datetime

from django.db import connection
from django.utils import timezone

from metrics import rollup_state, rollups, spans
from metrics.patience import REST_SECONDS, WORK_SECONDS
from metrics.querysets.rollups import rollups as stored
from metrics.querysets.snapshots import snapshots
from metrics.rollup_state import State
from metrics.tiers import TIERS

LIMITS = rollups.Limits(rows=300, slots=rollups.LARGE.slots)
"""A step has all its documents in memory, where those of a large host take 100 KB each."""

SHARES = (1.0, 0.1, 0.03, 0.01)
"""How much a stretch that is pending in each tier costs, beside one that begins in the finest.

What is done in one tier is pending in the next one then; only the finest opens documents.
"""


def rebuild(start: datetime | None, end: datetime) -> Iterator[int]:
    """Roll up a range anew; yield before each step how many seconds of data are left.

    Without a start everything. What it leaves behind when stopped is pending, not lost.
    """
    if rollup_state.load() is None:
        rollups.step(timezone.now(), LIMITS, wait=True)
    first = start or oldest()
    if first:
        rollups.changed(first, end)
    yield from caught_up()


def caught_up() -> Iterator[int]:
    """Roll up all that waits for it; yield before each step how many seconds of data are left."""
    more, began = True, time.monotonic()
    while more:
        state = rollup_state.load()
        yield left(state) if state else 0
        more = rollups.step(timezone.now(), LIMITS, wait=True)
        if time.monotonic() - began > WORK_SECONDS:
            time.sleep(REST_SECONDS[connection.vendor])
            began = time.monotonic()


def oldest() -> datetime | None:
    """Return the time of the oldest snapshot or roll-up."""
    found = [moment for moment in (snapshots().first_moment(), stored().first_start()) if moment]
    return min(found, default=None)


def left(state: State) -> int:
    """Return how many seconds of data are still to be summed up, each for its share of the work."""
    pending = (spans.length(state.tiers[tier.seconds].pending) for tier in TIERS)
    return math.ceil(sum(share * seconds for share, seconds in zip(SHARES, pending, strict=True)))
