"""The admin site: Django's, behind the one login page of PerfWatch."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse


class AdminSite(admin.AdminSite):
    """Sends nobodies to /login/ and tells viewers that they may not enter."""

    site_header = "PerfWatch administration"
    site_title = "PerfWatch"
    index_title = "Configuration and people"
    site_url = "/"

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect to the login page; a person who is logged in already lacks the right."""
        if request.user.is_authenticated:
            raise PermissionDenied("Only administrators may open the administration pages.")
        return redirect_to_login(request.GET.get("next") or "/admin/")
