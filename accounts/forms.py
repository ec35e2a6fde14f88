"""The forms of login and account."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm

from accounts.hashers import BCRYPT_MAX_BYTES


class LoginForm(AuthenticationForm):
    """Name and password; the same answer whichever of them is wrong."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "Username or password is wrong. Mind capital letters.",
    }

    def clean(self) -> dict[str, Any]:
        """Refuse what bcrypt could not take: for an unknown name Django would hash it."""
        if len(self.cleaned_data.get("password", "").encode()) > BCRYPT_MAX_BYTES:
            raise self.get_invalid_login_error()
        return super().clean()


class PasswordForm(PasswordChangeForm):
    """The old password and twice the new one."""
