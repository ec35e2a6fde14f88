"""Every page needs a login unless its view says otherwise; the API takes a token instead."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import middleware
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django_htmx.http import HttpResponseClientRedirect

from accounts import tokens
from perfwatch_site import typed

API = "/api/"
_REALM = 'Bearer realm="PerfWatch"'


class LoginRequiredMiddleware(middleware.LoginRequiredMiddleware):
    """Django's rule, made to fit fragments and health checks."""

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Look at the view before the session: a health check must not need the database."""
        if not getattr(view_func, "login_required", True):
            return None
        if request.path_info.startswith(API) and (secret := tokens.secret_in(request)) is not None:
            return self._enter_by_token(request, secret)
        return super().process_view(request, view_func, view_args, view_kwargs)

    def get_login_url(self, view_func: Callable[..., HttpResponseBase]) -> str:
        """Return the one login page, also for views that name another, as the admin's do."""
        return str(settings.LOGIN_URL)

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        """Redirect to the login page; a fragment makes the whole page go there, and back.

        What was typed comes back, too, where the view keeps it. Programs get a 401, in JSON.
        """
        if request.path_info.startswith(API):
            sentence = "Log in, or send an API token: Authorization: Bearer …"
            return _refusal(sentence, 401, _REALM)
        htmx = getattr(request, "htmx", None)
        page = typed.address(request)
        if page is None and htmx:
            page = htmx.current_url_abs_path or "/"
        if page is not None:
            request.path_info, query = page.partition("?")[::2]
            request.path = request.path_info
            request.META["QUERY_STRING"] = query
        answer = super().handle_no_permission(request, view_func)
        return HttpResponseClientRedirect(answer["Location"]) if htmx else answer

    def _enter_by_token(self, request: HttpRequest, secret: str) -> HttpResponseBase | None:
        """Make the request its owner's, without looking at the session, and so without a cookie."""
        try:
            request.user = tokens.reader(request, secret)
        except tokens.Refused as refused:
            return _refusal(str(refused), refused.status, f'{_REALM}, error="{refused.code}"')
        return None


def _refusal(sentence: str, status: int, challenge: str) -> JsonResponse:
    headers = {"WWW-Authenticate": challenge, "Cache-Control": "no-store"}
    if status == 429:
        headers["Retry-After"] = "60"
    return JsonResponse({"error": sentence}, status=status, headers=headers)
