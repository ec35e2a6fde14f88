"""Every page needs a login unless its view says otherwise."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import middleware
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django_htmx.http import HttpResponseClientRedirect


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
        return super().process_view(request, view_func, view_args, view_kwargs)

    def get_login_url(self, view_func: Callable[..., HttpResponseBase]) -> str:
        """Return the one login page, also for views that name another, as the admin's do."""
        return str(settings.LOGIN_URL)

    def handle_no_permission(  # type: ignore[override]
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        """Redirect to the login page; a fragment makes the whole page go there, and back.

        Programs, which would take the login page for an answer, are told in JSON.
        """
        if request.path_info.startswith("/api/"):
            return JsonResponse({"error": "Log in first: this needs a session."}, status=401)
        htmx = getattr(request, "htmx", None)
        if htmx:
            page = htmx.current_url_abs_path or "/"
            request.path_info, query = page.partition("?")[::2]
            request.path = request.path_info
            request.META["QUERY_STRING"] = query
            return HttpResponseClientRedirect(
                super().handle_no_permission(request, view_func)["Location"]
            )
        return super().handle_no_permission(request, view_func)
