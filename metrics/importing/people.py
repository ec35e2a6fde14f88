"""People of the first PerfWatch, with their passwords' hashes."""

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.core.exceptions import ValidationError
from django.db import connections, transaction

from accounts.hashers import MINIMUM_COST
from accounts.models import User
from metrics.importing.base import BadInput

TABLE = "users"
_HASH = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}")


class Person(NamedTuple):
    """A row of `users`."""

    username: str
    password_hash: str
    created_at: datetime | None


def people(alias: str) -> list[Person]:
    """Return the people of a database; raise BadInput for a name or hash that we cannot take."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT username, password_hash, created_at FROM users ORDER BY id")
        found = [Person(name, text, _moment(at)) for name, text, at in cursor.fetchall()]
    for person in found:
        try:
            User._meta.get_field("username").clean(person.username, None)
        except ValidationError as error:
            raise BadInput(TABLE, " ".join(error.messages), field="username") from error
        matched = _HASH.fullmatch(str(person.password_hash))
        if not matched or int(matched[1]) < MINIMUM_COST:
            what = f"that of {person.username} is no bcrypt hash of a cost from {MINIMUM_COST} on."
            raise BadInput(TABLE, what, field="password_hash")
    return found


def bring(found: list[Person]) -> list[str]:
    """Make those who are not known yet, as viewers; return their names."""
    added = []
    with transaction.atomic():
        for person in found:
            if User.objects.filter(username=person.username).exists():
                continue
            user = User(username=person.username, password=f"bcrypt${person.password_hash}")
            if person.created_at:
                user.created_at = person.created_at
            user.save()
            added.append(person.username)
    return added


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
