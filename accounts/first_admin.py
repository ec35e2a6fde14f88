"""The first administrator, made when nobody can log in yet."""

import secrets
from collections.abc import Callable
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction

from accounts.models import User


class FirstAdmin(NamedTuple):
    """Who was made; `generated` tells whether the password came from us."""

    username: str
    password: str
    generated: bool


def ensure_first_admin() -> FirstAdmin | None:
    """Create the first administrator where there is no user at all; else return None.

    The name comes from PERFWATCH_ADMIN_USERNAME, the password from PERFWATCH_ADMIN_PASSWORD or
    from a random generator. Raises ImproperlyConfigured, naming the variable, for a name or a
    password that a form would refuse.
    """
    with transaction.atomic():
        if User.objects.exists():
            return None
        given = settings.PERFWATCH_ADMIN_PASSWORD
        password = given or secrets.token_urlsafe(12)
        user = User(username=settings.PERFWATCH_ADMIN_USERNAME, is_staff=True, is_superuser=True)
        user.set_unusable_password()
        _check("PERFWATCH_ADMIN_USERNAME", lambda: user.full_clean(exclude=["password"]))
        _check("PERFWATCH_ADMIN_PASSWORD", lambda: validate_password(password, user))
        user.set_password(password)
        user.save()
    return FirstAdmin(user.username, password, generated=not given)


def _check(variable: str, check: Callable[[], None]) -> None:
    try:
        check()
    except ValidationError as error:
        raise ImproperlyConfigured(f"{variable}: {' '.join(error.messages)}") from error
