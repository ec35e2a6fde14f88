"""The column that holds a plain bcrypt string."""

import re
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db import models

from accounts.hashers import MINIMUM_COST

PREFIX = "bcrypt$"
NO_HASH = "not a bcrypt hash"
BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


class BcryptField(models.CharField):  # type: ignore[type-arg]
    """Stores `$2b$12$…` where Django's auth reads and writes `bcrypt$$2b$12$…`.

    So `bcrypt.checkpw` accepts the column as it is, and a row inserted by SQL can log in.
    Writing anything but a bcrypt hash of cost 10 or more, or Django's mark of an unusable
    password, raises ValueError.
    """

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        """Return what Django's auth expects; junk comes as NO_HASH, which it knows to refuse."""
        if value is None or value.startswith(UNUSABLE_PASSWORD_PREFIX):
            return value
        plain = value.removeprefix(PREFIX)
        return PREFIX + plain if BCRYPT.fullmatch(plain) else NO_HASH

    def get_prep_value(self, value: Any) -> Any:
        """Return the plain hash."""
        value = super().get_prep_value(value)
        if value is None or value.startswith(UNUSABLE_PASSWORD_PREFIX):
            return value
        plain = value.removeprefix(PREFIX)
        match = BCRYPT.fullmatch(plain)
        if match is None:
            raise ValueError("Only a bcrypt hash may be stored as password.")
        if int(match[1]) < MINIMUM_COST:
            raise ValueError(f"A bcrypt cost under {MINIMUM_COST} is too weak to be stored.")
        return plain
