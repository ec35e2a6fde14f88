"""Times as SQL has them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import connection

EPOCH: dict[str, Callable[[str], str]] = {
    "postgresql": lambda column: f"extract(epoch FROM {column})",
    "sqlite": lambda column: f"strftime('%%s', {column}) + ('0' || substr({column}, 20))",
}


def sql_moment(moment: datetime) -> Any:
    """Return a time as a parameter of plain SQL."""
    return connection.ops.adapt_datetimefield_value(moment)


def moment_of(value: Any) -> datetime:
    """Return a time as SQLite's text or PostgreSQL's value has it."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
