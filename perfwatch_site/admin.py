"""The admin site: Django's, behind the one login page of PerfWatch."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


class AdminSite(admin.AdminSite):
    """Tells viewers that they may not enter; nobodies never come this far."""

    site_header = "PerfWatch administration"
    site_title = "PerfWatch"
    index_title = "Configuration and people"
    site_url = "/"
    empty_value_display = "—"

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Answer whom the pages of the administration send here: a person without the right."""
        if self.has_permission(request):
            return redirect("admin:index")
        raise PermissionDenied("Only administrators may open the administration pages.")

    @login_not_required
    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Log out; whose session has ended already needs no login for that."""
        return super().logout(request, extra_context)

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the one page on which people change their own password."""
        return redirect("account")
