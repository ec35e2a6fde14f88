"""Is it alive, is it fresh: the health checks, and the judgement they share with the page."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseFault
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from metrics.configuration import DEFAULTS
from metrics.querysets import snapshots


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
    limit = max(3 * (interval or DEFAULTS["sampling"]["interval_seconds"]), 15)
    return Freshness(State.LIVE if abs(age) <= limit else State.STALE, max(age, 0.0))


@never_cache
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that this process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@never_cache
@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers and the newest sample is fresh, else 503."""
    try:
        newest = snapshots().sampled_live().newest()
    except DatabaseFault:
        return JsonResponse(
            {"status": "unavailable", "reason": "The database does not answer."}, status=503
        )
    fresh = freshness(newest and newest.timestamp, newest and newest.interval, timezone.now())
    age = None if fresh.age is None else round(fresh.age, 1)
    if fresh.state is State.LIVE:
        return JsonResponse({"status": "ready", "newest_sample_age_seconds": age})
    reason = (
        "There is no sample yet."
        if fresh.state is State.EMPTY
        else "The newest sample is too old: the sampler is not running, or the clock was set."
    )
    return JsonResponse(
        {"status": "stale", "reason": reason, "newest_sample_age_seconds": age}, status=503
    )
