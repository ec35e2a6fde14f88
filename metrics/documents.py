"""Documents as the database holds them, opened: also those that somebody wrote by SQL. Pure.

What no counter can say is absent (null), so that sums and squares of all others are finite:
numbers too large for that, endless ones, and what is nested too deeply to be read.
"""

import json
from collections.abc import Sequence
from typing import Any

from metrics.collectors.base import Json

LARGEST = 1e50
SMALLEST = 1e-50
"""What is smaller is 0: nothing may be divided by it."""

_MOST_DIGITS = 50


def opened(text: str) -> Json:
    """Return the JSON value, without what nothing can be reckoned with."""
    try:
        value = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            # Half of a surrogate pair, which SQLite takes, could not be sent.
            whole = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
            value = _DECODER.decode(whole)
    except RecursionError:
        return None
    return value


def documents(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the documents; an empty one for each value that is none."""
    # Opened all at once they share their names: that takes two thirds of the memory.
    values = opened(f"[{','.join(texts)}]")
    if values is None:
        values = [opened(text) for text in texts]
    return [value if isinstance(value, dict) else {} for value in values]


def inner(value: Json, *names: str) -> dict[str, Any]:
    """Return the object at a path; an empty one where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def number(value: Json) -> float | None:
    """Return a number, None for all else; true and false are none."""
    return value if type(value) is float or type(value) is int else None


def _float(text: str) -> float | None:
    value = float(text)
    if SMALLEST < value < LARGEST or -LARGEST < value < -SMALLEST:
        return value
    return 0.0 if -LARGEST < value < LARGEST else None


def _int(text: str) -> int | None:
    return int(text) if len(text) <= _MOST_DIGITS else None


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=lambda _: None)
