"""How two kinds of columns are written."""

import json
import re
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""As JSON escapes it: behind an odd number of backslashes."""


class CompactEncoder(json.JSONEncoder):
    """Writes JSON without blanks and without NaN or infinity, which no database takes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"separators": (",", ":"), "allow_nan": False})


class StrictDecoder(json.JSONDecoder):
    """Reads what the encoder writes: for forms, which know no other error than JSONDecodeError."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"parse_constant": _refuse})

    def decode(self, s: str, *more: Any) -> Any:
        """Return the value; raise JSONDecodeError for all that a database would not take.

        That is NaN, endless numbers, NUL, half of a surrogate pair, and what is nested too deeply.
        """
        try:
            value = super().decode(s, *more)
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            text.encode()
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), s, 0) from error
        if _NUL.search(text):
            raise json.JSONDecodeError("NUL is no text.", s, 0)
        return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON.")


class KeyField(models.CharField):  # type: ignore[type-arg]
    """A text key without the second index that Django adds on PostgreSQL for LIKE.

    Django looks for `varchar` in the name of the type; `character varying` is the same type.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Return the type of the column."""
        return f"character varying({self.max_length})"
