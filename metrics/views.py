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
    window = rows.window(now - live.WINDOW, live.MOST_ROWS)
    newest = max(window, key=lambda row: row.id, default=None) or rows.newest()
    return render(request, "live.html", live.page(window, newest, now))


@never_cache
@require_safe
def live_update(request: HttpRequest) -> HttpResponse:
    """Answer a poll: tiles and status, and the points after the cursor."""
    cursor = validated(CursorForm, request.GET)["after"]
    now = timezone.now()
    rows = snapshots().sampled_live()
    start = now - live.WINDOW
    if not cursor:
        found = rows.window(start, live.MOST_POINTS)
    elif not (found := rows.after(cursor, start, live.MOST_POINTS)):
        return HttpResponseClientRefresh()  # the row of the cursor is gone
    newest = max(found, key=lambda row: row.id, default=None)
    previous = next((row for row in found if row.id == cursor), None)
    new = [row for row in found if row.id != cursor]
    return render(request, "_live.html", live.fragment(new, newest, now, previous))
