"""The pages: authorise, validate, query, render."""

import hashlib
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from metrics import guide, live
from metrics import history_page as past
from metrics.forms import (
    LIVE_RANGES,
    REFRESHES,
    HistoryForm,
    LiveForm,
    MomentForm,
    PollForm,
    validated,
)
from metrics.querysets.settings import settings_of
from metrics.querysets.snapshots import snapshots
from perfwatch_site.parameters import refuse_others

DEFAULT_RANGE = "15m"
ANSWER_SECONDS = 2


@never_cache
@require_safe
def live_page(request: HttpRequest) -> HttpResponse:
    """Show the last minutes, filled from the database."""
    asked = validated(LiveForm, request.GET)
    system = settings_of("system_info").get("system_info") or {}
    context = live.page(snapshots().sampled_live(), _view(asked), timezone.now())
    return render(
        request,
        "live.html",
        context
        | {
            "range": asked["range"] or DEFAULT_RANGE,
            "ranges": LIVE_RANGES,
            "refresh": asked["refresh"],
            "refreshes": REFRESHES,
            "kernel": system.get("kernel"),
        },
    )


@never_cache
@require_safe
def live_update(request: HttpRequest) -> HttpResponse:
    """Answer a poll: tiles and status, and the points after the cursor.

    Viewers of the same page ask the same, so one answer serves all who ask in the same second.
    """
    asked = validated(PollForm, request.GET)
    rows, view, now = snapshots().sampled_live(), _view(asked), timezone.now()
    question = repr((view, asked["after"], int(now.timestamp())))
    key = hashlib.sha256(question.encode()).hexdigest()
    newest, text = cache.get(key, (None, ""))
    if not text or newest != rows.highest_id():
        context = live.news(rows, view, asked["after"], now)
        if context is None:
            return HttpResponseClientRefresh()
        text = render_to_string("_live.html", context)
        cache.set(key, (context["cursor"], text), timeout=ANSWER_SECONDS)
    return HttpResponse(text)


@never_cache
@require_safe
def history_page(request: HttpRequest) -> HttpResponse:
    """Show any stretch of time; the charts fetch their points when they become visible."""
    now = timezone.now()
    asked = validated(HistoryForm, request.GET, now=now)
    context = past.page(asked, request.GET.dict(), now)
    return render(
        request,
        "history.html",
        context | {"refresh": asked["refresh"], "refreshes": REFRESHES},
    )


@never_cache
@require_safe
def history_moment(request: HttpRequest) -> HttpResponse:
    """Show who was busy in the stretch of one point."""
    asked = validated(MomentForm, request.GET)
    found = past.moment(asked["at"], asked["step"])
    return render(request, "_moment.html", {"moment": found})


@never_cache
@require_safe
def history_changes(request: HttpRequest) -> HttpResponse:
    """Show which series of the page changed most against another stretch."""
    now = timezone.now()
    asked = validated(HistoryForm, request.GET, now=now)
    return render(request, "_changes.html", {"rows": past.compared(asked, now)})


@never_cache
@require_safe
def history_verdict(request: HttpRequest) -> HttpResponse:
    """Say what the CPUs did in a stretch of time."""
    now = timezone.now()
    asked = validated(HistoryForm, request.GET, now=now)
    found = past.verdict_of(asked["from"], asked["to"], now)
    return render(request, "_verdict.html", {"verdict": found})


@require_safe
def counters(request: HttpRequest) -> HttpResponse:
    """Show what the counters and the verdicts mean."""
    refuse_others(request.GET)
    return render(request, "counters.html", {"guide": guide.counters()})


def _view(asked: dict[str, Any]) -> live.View:
    return live.View(
        window=timedelta(seconds=LIVE_RANGES[asked["range"] or DEFAULT_RANGE]),
        devices={kind.key: asked[kind.key] for kind in live.KINDS},
        auto=asked.get("auto", ()),
        absent=asked.get("absent", ()),
    )
