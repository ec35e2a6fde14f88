"""Login, logout and one's own account."""

from typing import Any

from axes.helpers import get_cool_off
from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth import views as auth_views
from django.contrib.messages.views import SuccessMessageMixin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache

from accounts.forms import LoginForm, PasswordForm, TokenForm
from accounts.models import Token, User
from perfwatch_site.parameters import refuse_others


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

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show it."""
        refuse_others(request.GET)
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: PasswordForm) -> HttpResponse:  # type: ignore[override]
        """Change it, and note that in the log of changes by people."""
        answer = super().form_valid(form)
        user = _person(self.request)
        people = User.objects.filter(pk=user.pk)
        LogEntry.objects.log_actions(
            user.pk, people, CHANGE, "Changed password.", single_object=True
        )
        return answer

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add one's tokens."""
        user = _person(self.request)
        more = {"tokens": user.tokens.all(), "token_form": TokenForm(user)}
        return super().get_context_data(**more | kwargs)


@never_cache
def create_token(request: HttpRequest) -> HttpResponse:
    """Show a new token's secret in this one answer: a redirect would have to store it."""
    if request.method != "POST":
        return redirect("account")
    user = _person(request)
    form = TokenForm(user, request.POST)
    secret = form.issue()
    if secret:
        _log(user, user.tokens.filter(name=form.cleaned_data["name"]), ADDITION)
    context = {
        "form": PasswordForm(user),
        "tokens": user.tokens.all(),
        "token_form": TokenForm(user) if secret else form,
        "secret": secret,
    }
    return render(request, "account.html", context)


def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Delete one of one's own tokens."""
    if request.method != "POST":
        return redirect("account")
    user = _person(request)
    found = user.tokens.filter(pk=token_id)
    if token := found.first():
        _log(user, found, DELETION)
        token.delete()
        messages.success(request, f"The token “{token.name}” is revoked.")
    else:
        messages.error(request, "This token is gone already.")
    return redirect("account")


def _person(request: HttpRequest) -> User:
    # The login rule lets nobody else in; saying so here is for the type checker.
    assert isinstance(request.user, User)  # noqa: S101
    return request.user


def _log(user: User, tokens: QuerySet[Token], action: int) -> None:
    LogEntry.objects.log_actions(user.pk, tokens, action, single_object=True)


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
