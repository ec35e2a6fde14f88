"""The settings page: administrators change, viewers look."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from metrics.changes import SEEN, SEEN_LOG, Change, Draft, draft, may_change, save, stored
from metrics.forecast import forecast
from metrics.importing.job import current
from metrics.settings_form import NAMES
from metrics.settings_page import facts
from perfwatch_site.parameters import refuse_others
from perfwatch_site.typed import keeps_typed

KNOWN = {*NAMES, *(SEEN + name for name in NAMES), SEEN_LOG}


class Outcome(NamedTuple):
    """What came of saving: what was saved, or why nothing was. Neither while nobody saves."""

    saved: list[Change] | None = None
    fault: str = ""


@never_cache
@keeps_typed
@require_http_methods(["GET", "HEAD", "POST"])
def settings_page(request: HttpRequest) -> HttpResponse:
    """Show, rehearse (`do=rehearse`) and save. The query holds what was typed and not saved."""
    is_allowed = may_change(request)
    if request.method == "POST":
        if not is_allowed:
            raise PermissionDenied("Only administrators may change settings.")
        return _post(request, request.POST.dict())
    refuse_others(request.GET, KNOWN)
    return _page(request, request.GET.dict() if is_allowed else {})


def _post(request: HttpRequest, typed: dict[str, str]) -> HttpResponse:
    htmx = getattr(request, "htmx", None)
    if "do" in typed:
        return _fragment(request, "_rehearsal.html", typed) if htmx else _page(request, typed)
    outcome = saved(typed, cast(int, request.user.pk))
    if outcome.saved is not None:
        if not htmx:
            messages.success(request, said(outcome.saved))
            return redirect("settings")
        more = {"success": said(outcome.saved)}
        return _fragment(request, "_settings_form.html", {}, more)
    more = {"fault": outcome.fault}
    if htmx:
        return _fragment(request, "_settings_form.html", typed, more)
    return _page(request, typed, more)


def _page(
    request: HttpRequest, typed: Mapping[str, str], more: dict[str, Any] | None = None
) -> HttpResponse:
    now, made = timezone.now(), draft(typed, stored())
    context = _form(made, now) | {"is_typed": bool(typed)} | facts(made.now, now) | (more or {})
    context |= {"may_change": may_change(request), "job": current()}
    return render(request, "settings.html", context)


def _fragment(
    request: HttpRequest,
    template: str,
    typed: Mapping[str, str],
    more: dict[str, Any] | None = None,
) -> HttpResponse:
    context = _form(draft(typed, stored()), timezone.now())
    context |= {"may_change": True, "is_fragment": True}
    return render(request, template, context | (more or {}))


def saved(typed: Mapping[str, str], person: int) -> Outcome:
    """Save, and say what came of it."""
    try:
        made = save(typed, person)
    except OperationalError:  # somebody else writes for long, or saves the same rows
        return Outcome(fault="The database was busy. Nothing is saved yet: save again.")
    if not made.form.is_valid():
        return Outcome(fault="Nothing is saved yet: look at what is marked.")
    if made.overtaken:
        return Outcome(fault="Nothing is saved yet: somebody was quicker.")
    return Outcome(saved=made.changes)


def said(changes: list[Change]) -> str:
    """Return what was saved as a sentence."""
    parts = [f"{one.label.lower()} {one.before} → {one.after}" for one in changes]
    return f"Saved: {', '.join(parts)}." if parts else "All was as it is: nothing had to be saved."


def _form(made: Draft, now: datetime) -> dict[str, Any]:
    """Return the context of the form and of the rehearsal in it."""
    values = made.form.cleaned_data if made.form.is_valid() else None
    return {
        "form": made.form,
        "seen": [(SEEN + name, text) for name, text in made.now.texts.items()],
        "seen_log": (SEEN_LOG, made.now.last_entry),
        "overtaken": made.overtaken,
        "changes": made.changes,
        "broken": list(made.now.broken.values()),
        "forecast": forecast(values, made.now.values, now) if values else None,
    }
