"""The forms of login and account."""

from typing import Any

from django import forms
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AuthenticationForm,
    PasswordChangeForm,
)

from accounts.hashers import BCRYPT_MAX_BYTES
from accounts.models import TOKEN_NAME_MAX_LENGTH, USERNAME_MAX_LENGTH, User
from accounts.tokens import MOST_PER_USER, issue
from accounts.validators import token_name_validator


class LoginForm(AuthenticationForm):
    """Name and password; the same answer whichever of them is wrong."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "Username or password is wrong. Mind capital letters.",
    }

    def clean(self) -> dict[str, Any]:
        """Refuse what nobody can have, before bcrypt or the table of attempts has to take it."""
        too_long = len(self.cleaned_data.get("username", "")) > USERNAME_MAX_LENGTH
        if too_long or len(self.cleaned_data.get("password", "").encode()) > BCRYPT_MAX_BYTES:
            raise self.get_invalid_login_error()
        return super().clean()


class PasswordForm(PasswordChangeForm):
    """The old password and twice the new one; the page has more than this form, so no focus."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)


class NewPasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]
    """Twice somebody's new password. There is no other way in, so nobody is left without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
        for field in self.fields.values():
            field.required = True


class TokenForm(forms.Form):
    """The name of a new API token of `user`."""

    name = forms.CharField(
        label="Name",
        max_length=TOKEN_NAME_MAX_LENGTH,
        validators=[token_name_validator],
        help_text="What will use it: grafana, backup script",
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def issue(self) -> str | None:
        """Create the token and return its secret; None with an error of the form."""
        secret = issue(self._user, self.cleaned_data["name"]) if self.is_valid() else None
        if secret is None and self.is_valid():
            self.add_error("name", self._refusal())
        return secret

    def _refusal(self) -> str:
        if self._user.tokens.count() >= MOST_PER_USER:
            return f"You have {MOST_PER_USER} tokens, and more are not possible: revoke one first."
        return "You have a token of this name already."
