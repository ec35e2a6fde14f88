"""How two kinds of columns are written."""

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class CompactEncoder(json.JSONEncoder):
    """Writes JSON without blanks and without NaN or infinity, which no database takes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"separators": (",", ":"), "allow_nan": False})


class KeyField(models.CharField):  # type: ignore[type-arg]
    """A text key without the second index that Django adds on PostgreSQL for LIKE.

    Django looks for `varchar` in the name of the type; `character varying` is the same type.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the type of the column."""
        return f"character varying({self.max_length})"
