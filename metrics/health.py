"""The health checks: is it alive, is it fresh."""

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseFault
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from metrics.freshness import State, freshness
from metrics.querysets.snapshots import snapshots
from metrics.spooled import spooled


@never_cache
@login_not_required
@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that this process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


@never_cache
@login_not_required
@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database answers and the newest sample is fresh, else 503.

    Samples that the database does not take are told, whatever the answer is.
    """
    waiting = spooled()
    spool = {"spooled": waiting._asdict()} if waiting.samples else {}
    try:
        rows, interval = snapshots().sampled_live().newest()
    except DatabaseFault:
        return JsonResponse(
            {"status": "unavailable", "reason": "The database does not answer."} | spool,
            status=503,
        )
    newest = rows[0].timestamp if rows else None
    fresh = freshness(newest, interval, timezone.now())
    age = None if fresh.age is None else round(fresh.age, 1)
    if fresh.state is State.LIVE:
        return JsonResponse({"status": "ready", "newest_sample_age_seconds": age} | spool)
    if words := waiting.words():
        reason = words
    elif fresh.state is State.EMPTY:
        reason = "There is no sample yet."
    else:
        reason = "The newest sample is too old: the sampler is not running, or the clock was set."
    return JsonResponse(
        {"status": "stale", "reason": reason, "newest_sample_age_seconds": age} | spool,
        status=503,
    )
