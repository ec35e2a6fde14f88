"""What a person sees when a request cannot be answered."""

import sys

from django.core.exceptions import BadRequest, DisallowedHost, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template import loader
from django_htmx.http import HttpResponseClientRedirect

from metrics.spooled import spooled
from perfwatch_site import typed
from perfwatch_site.databases import took_too_long


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 with the sentence that the exception carries."""
    if isinstance(exception, DisallowedHost):
        text = "This host name is not in ALLOWED_HOSTS. Add it there and restart PerfWatch."
        # Pages cannot be rendered for a host that is not ours.
        return HttpResponse(text, status=400, content_type="text/plain; charset=utf-8")
    text = str(exception) if isinstance(exception, BadRequest) and exception.args else ""
    return _page(request, 400, "This address is not right", text or "The request is malformed.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403."""
    text = str(exception) if isinstance(exception, PermissionDenied) and exception.args else ""
    return _page(request, 403, "Not allowed", text or "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    return _page(request, 404, "No such page", "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 where the database is away, without touching the database."""
    error = sys.exc_info()[1]
    if took_too_long(error):
        text = "The database took too long over this. A shorter range of time takes less."
        return _page(request, 503, "This takes too long", text)
    if isinstance(error, InterfaceError | OperationalError):
        text = f"The database does not answer. Samples are kept until it does. {spooled().words()}"
        return _page(request, 503, "PerfWatch cannot answer now", text.strip())
    text = "The cause is in the log. Samples go on being taken."
    return _page(request, 500, "PerfWatch could not answer", text)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 to a form whose token is missing or old; show it again where its view can."""
    if page := typed.address(request):
        htmx = getattr(request, "htmx", None)
        return HttpResponseClientRedirect(page) if htmx else HttpResponseRedirect(page)
    text = "This form is too old, or cookies are off. Go back, reload the page and try again."
    return _page(request, 403, "The form was not accepted", text)


def _page(request: HttpRequest, status: int, title: str, text: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"error": text}, status=status)
    body = loader.render_to_string("error.html", {"title": title, "text": text})
    return HttpResponse(body, status=status)
