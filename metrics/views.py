"""The pages: authorise, validate, query, render."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRefresh

from metrics import live
from metrics.forms import CursorForm, validated
from metrics.querysets import Rows, snapshots


@never_cache
@require_safe
def live_page(request: HttpRequest) -> HttpResponse:
    """Show the last 15 minutes, filled from the database."""
    now = timezone.now()
    rows = snapshots().sampled_live()
    points = rows.window(now - live.WINDOW, now + live.AHEAD, live.MOST_ROWS).rows
    return render(request, "live.html", live.page(points, rows.newest(), now))


@never_cache
@require_safe
def live_update(request: HttpRequest) -> HttpResponse:
    """Answer a poll: tiles and status, and the points after the cursor."""
    cursor = validated(CursorForm, request.GET)["after"]
    now = timezone.now()
    rows = snapshots().sampled_live()
    if not cursor:  # the page was opened before the first sample
        points, interval = rows.window(now - live.WINDOW, now + live.AHEAD, live.MOST_POINTS)
        newest = sorted(points, key=lambda row: row.id)[-1:]
        cursor = newest[0].id if newest else 0
        context = live.fragment(points, Rows(newest, interval), cursor, now)
        return render(request, "_live.html", context | {"poll": True})
    found, interval = rows.after(cursor, now - live.WINDOW, live.MOST_POINTS)
    if not found:  # the row of the cursor is gone
        return HttpResponseClientRefresh()
    previous = found[0] if found[0].id == cursor else None
    points = sorted(found[1:] if previous else found, key=lambda row: row.timestamp)
    behind = len(points) == live.MOST_POINTS
    newest = rows.newest() if behind else Rows(found[-1:], interval)
    context = live.fragment(points, newest, found[-1].id, now, previous)
    return render(request, "_live.html", context | {"poll": True})
