"""The forms of login and account."""

from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm


class LoginForm(AuthenticationForm):
    """Name and password; the same answer whichever of them is wrong."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "Username or password is wrong. Mind capital letters.",
    }


class PasswordForm(PasswordChangeForm):
    """The old password and twice the new one."""
