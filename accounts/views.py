"""Login, logout and one's own account."""

from typing import Any

from axes.helpers import get_cool_off
from django.contrib.auth import views as auth_views
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

from accounts.forms import LoginForm, PasswordForm


class LoginView(auth_views.LoginView):
    """The login page; wrong attempts are counted by django-axes."""

    template_name = "login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True


class AccountView(SuccessMessageMixin, auth_views.PasswordChangeView):  # type: ignore[type-arg]
    """One's own account: who one is, and a new password."""

    template_name = "account.html"
    form_class = PasswordForm
    success_url = reverse_lazy("account")
    success_message = "Your password is changed. Other browsers are logged out."


def locked_out(request: HttpRequest, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """Answer 429 when too many passwords were wrong, keeping the login form in place."""
    wait = get_cool_off(request)
    minutes = round(wait.total_seconds() / 60) if wait else 0
    context = {
        "form": LoginForm(request),
        "locked_out": f"Too many wrong passwords. Wait {minutes} minutes and try again.",
        "next": request.POST.get("next", ""),
    }
    return render(request, "login.html", context, status=429)
