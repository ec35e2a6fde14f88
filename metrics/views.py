"""The pages: authorise, validate, query, render."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from metrics import live
from metrics.forms import CursorForm, validated
from metrics.querysets import snapshots


@never_cache
@require_safe
def live_page(request: HttpRequest) -> HttpResponse:
    """Show the last 15 minutes, filled from the database."""
    now = timezone.now()
    rows = snapshots().sampled_live()
    return render(request, "live.html", live.page(rows, now))


@never_cache
@require_safe
def live_update(request: HttpRequest) -> HttpResponse:
    """Answer a poll: tiles and status, and the points after the cursor."""
    cursor = validated(CursorForm, request.GET)["after"]
    now = timezone.now()
    context = live.news(snapshots().sampled_live(), cursor, now)
    if context is None:  # the row of the cursor is gone
        return HttpResponseClientRefresh()
    return render(request, "_live.html", context)
