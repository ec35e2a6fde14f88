"""The page that cleans up now: it asks first, and drives the steps by its polls."""

from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from metrics import cleaning
from metrics.changes import log, may_change
from metrics.cleaning import Cleaning, Stale
from metrics.forecast import actions
from metrics.formats import duration, megabytes
from metrics.models import ArchivePolicy
from metrics.rehearsal import rehearsal
from metrics.retention import Phase, policy_of
from perfwatch_site.parameters import refuse_others

SECONDS_WITHOUT_SCRIPTS = 2.0
PHASES = {
    Phase.DELETE: "Deleting what is too old",
    Phase.FOLD: "Downsampling",
    Phase.SHRINK: "Deleting what is too much",
    Phase.PRUNE: "Deleting old roll-ups",
    Phase.DONE: "Done",
}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cleanup_page(request: HttpRequest) -> HttpResponse:
    """Ask whether to clean up now; a POST begins, or goes on from `run`."""
    if not may_change(request):
        raise PermissionDenied("Only administrators may clean up.")
    if request.method != "POST":
        refuse_others(request.GET)
        return render(request, "cleanup.html", _question())
    now, htmx = timezone.now(), getattr(request, "htmx", None)
    try:
        if text := request.POST.get("run"):
            state = Cleaning.of(text)
        else:
            state = cleaning.begin(now)
            log(ArchivePolicy.current(), "Cleaned up by hand.", cast(int, request.user.pk))
    except Stale as error:
        template = "_cleanup.html" if htmx else "cleanup.html"
        return render(request, template, _question() | {"fault": str(error)})
    if htmx:
        state = cleaning.advanced(state, now)
        return render(request, "_cleanup.html", _progress(state))
    state = cleaning.advanced_for(state, SECONDS_WITHOUT_SCRIPTS, now)
    return render(request, "cleanup.html", _progress(state))


def _question() -> dict[str, Any]:
    now, row = timezone.now(), ArchivePolicy.current()
    policy = policy_of(row)
    told = rehearsal(policy, now, trusts_clock=True)
    return {
        "actions": actions(told, policy),
        "freed": megabytes(told.freed_bytes),
        "left": told.rows - told.delete_rows - told.fold_rows + told.fold_into_rows,
        "is_automatic": row.archive_enabled,
        "witnessed": told.witnessed(now),
        "now": now,
    }


def _progress(state: Cleaning) -> dict[str, Any]:
    run, left = state.run, state.seconds_left
    return {
        "cleaning": state,
        "deleted": f"{run.deleted:,}",
        "folded": f"{run.folded:,}",
        "chunks": f"{run.chunks:,}",
        "phase": PHASES[run.phase],
        "rate": f"{state.done / state.lasted:,.0f}" if state.done and state.lasted > 1 else "",
        "time_left": duration(left) if left is not None and state.lasted > 1 else "",
        "freed": megabytes(state.freed),
        "lasted": duration(max(1.0, state.seconds)),
        "is_automatic": ArchivePolicy.current().archive_enabled,
    }
