"""The forms of login and account."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm

from accounts.hashers import BCRYPT_MAX_BYTES
from accounts.models import USERNAME_MAX_LENGTH


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
    """The old password and twice the new one."""
