"""Settings."""

import json
from typing import Any

from django.db import connection


def settings_of(*keys: str) -> dict[str, Any]:
    """Return the values of these rows of `config`, as far as there are such rows.

    Plain SQL: beat asks every 1.5 s, and building the query took two thirds of its time.
    """
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(keys))
        cursor.execute(f"SELECT key, value FROM config WHERE key IN ({marks})", keys)  # noqa: S608
        return {key: json.loads(value) for key, value in cursor.fetchall()}
