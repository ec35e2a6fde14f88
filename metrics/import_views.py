"""The page that brings in files and removes what was imported; its polls drive the steps."""

from datetime import datetime, timedelta
from typing import Any, cast

from django.core.exceptions import BadRequest, PermissionDenied
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from metrics.changes import may_change
from metrics.formats import duration
from metrics.importing import stepwise
from metrics.importing.base import BadInput
from metrics.importing.job import Job, Phase, current
from metrics.importing.origins import sources
from metrics.importing.running import warnings
from metrics.importing.stepwise import Overtaken
from metrics.importing.uploads import MOST_BYTES, MOST_FILES, Bounded, kept
from perfwatch_site.parameters import refuse_others

SECONDS_WITHOUT_SCRIPTS = 2.0
LONGEST_SOURCE = 200
MINUTE = timedelta(minutes=1)
PHASES = {
    Phase.CHECK: "Checking: nothing is written yet",
    Phase.WRITE: "Writing",
    Phase.REMOVE: "Removing",
    Phase.ROLL_UP: "Bringing the roll-ups up to date",
}
OVERTAKEN = "Nothing was begun: {who} was quicker, see above."
HINT = "Nothing was written. Mend it, or tick “Leave out what is bad”."


@never_cache
@csrf_exempt  # `_uploaded` asks for the token: it must not be looked for before bounds are set
@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request: HttpRequest) -> HttpResponse:
    """Show the form, or how far the import or removal is; a POST uploads files."""
    _only_administrators(request)
    if request.method != "POST":
        refuse_others(request.GET, ["list"])
        return _page(request, current())
    handler = Bounded(request)
    request.upload_handlers = [handler]
    return _uploaded(request, handler)


@never_cache
@require_POST
def import_step(request: HttpRequest) -> HttpResponse:
    """Do the next step of the job, or stop it."""
    _only_administrators(request)
    id, htmx = request.POST.get("job", ""), getattr(request, "htmx", None)
    if "stop" in request.POST:
        return _page(request, stepwise.stopped(id, request.user.get_username()))
    if not htmx:
        return _page(request, stepwise.advanced_for(id, SECONDS_WITHOUT_SCRIPTS))
    job = stepwise.advanced(id)
    if job is None or job.is_over or job.id != id:
        return HttpResponseClientRedirect(reverse("import"))
    return render(request, "_import_progress.html", _progress(job))


@never_cache
@require_safe
def import_sources(request: HttpRequest) -> HttpResponse:
    """Count what was imported: a second or more where that is much."""
    _only_administrators(request)
    refuse_others(request.GET)
    return render(request, "_import_sources.html", {"sources": sources()})


@never_cache
@require_POST
def import_removal(request: HttpRequest) -> HttpResponse:
    """Begin to remove what was imported from a source."""
    _only_administrators(request)
    source, rows = request.POST.get("source", ""), request.POST.get("rows", "")
    if not 0 < len(source) <= LONGEST_SOURCE or "\0" in source:
        raise BadRequest(f"source: it has 1 to {LONGEST_SOURCE} characters, none of them NUL.")
    try:
        with stepwise.beginning():
            person = cast(int, request.user.pk)
            total = int(rows) if rows.isdecimal() and len(rows) < 10 else 0
            stepwise.begun(person, request.user.get_username(), source=source, total=total)
    except Overtaken as error:
        return _page(request, error.job, _overtaken(error))
    return redirect("import")


@csrf_protect
def _uploaded(request: HttpRequest, handler: Bounded) -> HttpResponse:
    """Begin an import of what was uploaded; say what is wrong with it."""
    htmx = getattr(request, "htmx", None)
    files = cast(list[TemporaryUploadedFile], request.FILES.getlist("file"))
    job, fault = None, handler.fault or ("" if files else "Choose a file.")
    try:
        if not fault:
            job = _begun(request, files)
    except BadInput as error:
        fault = f"{error} Nothing was imported."
    except Overtaken as error:
        job, fault = error.job, _overtaken(error)
    if htmx and fault:
        return render(request, "_import_fault.html", {"fault": fault})
    if htmx:
        return HttpResponseClientRedirect(reverse("import"))
    return _page(request, job or current(), fault) if fault else redirect("import")


def _begun(request: HttpRequest, files: list[TemporaryUploadedFile]) -> Job:
    with stepwise.beginning():
        return stepwise.begun(
            cast(int, request.user.pk),
            request.user.get_username(),
            files=tuple(kept(files)),
            skip_bad="skip_bad" in request.POST,
        )


def _page(request: HttpRequest, job: Job | None, fault: str = "") -> HttpResponse:
    context: dict[str, Any] = {"job": job, "fault": fault, "most": MOST_BYTES}
    context |= {"most_mib": MOST_BYTES >> 20, "most_files": MOST_FILES}
    if job and not job.is_over:
        context |= _progress(job)
    elif job:
        context |= _result(job)
    if "list" in request.GET:
        context |= {"sources": sources()}
    return render(request, "import.html", context)


def _progress(job: Job) -> dict[str, Any]:
    lasted = job.stepped - job.phase_began
    share = min(job.share, 0.99)
    return {
        "job": job,
        "phase": PHASES[job.phase],
        "percent": int(100 * share),
        "rate": job.rows / lasted if job.rows and lasted > 1 else 0,
        "time_left": duration(lasted / share - lasted) if share > 0.01 and lasted > 1 else "",
        "began": datetime.fromtimestamp(job.began, timezone.get_default_timezone()),
    }


def _result(job: Job) -> dict[str, Any]:
    summary = job.summary
    is_empty = not (summary.added or summary.present or summary.covered)
    return {
        "is_refused": job.phase is Phase.REFUSED or (bool(summary.bad) and is_empty),
        "lasted": duration(max(1.0, job.stepped - job.began)),
        "sources_added": ", ".join(sorted(summary.sources)),
        "warnings": warnings(summary, timezone.now()),
        # Also where it is a single row.
        "look_from": summary.first and summary.first - MINUTE,
        "look_to": summary.last and summary.last + MINUTE,
        "more_bad": summary.bad - len(job.told),
        "ended": datetime.fromtimestamp(job.stepped, timezone.get_default_timezone()),
    }


def _overtaken(error: Overtaken) -> str:
    return OVERTAKEN.format(who=error.job.who if error.job else "somebody")


def _only_administrators(request: HttpRequest) -> None:
    if not may_change(request):
        raise PermissionDenied("Only administrators may import and remove.")
