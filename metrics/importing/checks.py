"""What a document must be like to be stored and drawn. Pure."""

import math
from datetime import UTC, datetime, timedelta

from metrics.buckets import LONGEST_INTERVAL
from metrics.collectors import field_of
from metrics.collectors.base import Json
from metrics.collectors.fields import Kind
from metrics.documents import LARGEST
from metrics.importing.base import MOST_DEPTH
from metrics.moments import EARLIEST

AHEAD = timedelta(days=1)


class Wrong(ValueError):
    """What is wrong with a field: the message is a sentence, `field` is its path."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(what)
        self.field = field


def time_of(value: Json, field: str, now: datetime) -> datetime:
    """Return a time in ISO 8601; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(value)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(field, f"{shown(value)} is no time.") from None
    if found < EARLIEST or found > now + AHEAD:
        raise Wrong(field, f"{shown(value)} is before 1970 or in the future.")
    return found


def check(document: Json, field: str = "metric_data") -> None:
    """Raise Wrong unless it is a document of ours: of any fields, but of declared kinds."""
    if not isinstance(document, dict):
        raise Wrong(field, f"a document is expected, not {shown(document)}.")
    sampler = document.get("sampler", {})
    if not isinstance(sampler, dict):
        raise Wrong(f"{field}.sampler", f"an object is expected, not {shown(sampler)}.")
    interval = sampler.get("interval_seconds")
    if interval is not None and not (
        type(interval) in (int, float) and 0 < interval <= LONGEST_INTERVAL
    ):
        raise Wrong(
            f"{field}.sampler.interval_seconds", f"{shown(interval)} is no number of seconds."
        )
    for name in ("id", "source"):
        if not isinstance(sampler.get(name), str | None) or len(sampler.get(name) or "") > 200:
            raise Wrong(f"{field}.sampler.{name}", "a text of at most 200 characters is expected.")
    _check_folded(document.get("downsampled"), field)
    _walk(document, "", field, 1)


def shown(value: Json) -> str:
    """Return a value as an error message quotes it."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _check_folded(folded: Json, field: str) -> None:
    if folded is None:
        return
    for name in ("samples", "bucket_seconds"):
        value = folded.get(name) if isinstance(folded, dict) else None
        if type(value) is not int or not 0 < value <= LONGEST_INTERVAL:
            raise Wrong(f"{field}.downsampled.{name}", "a whole number from 1 on is expected.")


def _walk(value: Json, path: str, root: str, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise Wrong(root, f"more than {MOST_DEPTH} levels deep.")
    pairs = value.items() if type(value) is dict else enumerate(value)
    for name, one in pairs:
        kind = type(one)
        if kind is float or kind is int:
            if not -LARGEST < one < LARGEST:  # not true of NaN either
                raise Wrong(f"{root}.{_joined(path, name)}", "the number is endless or too large.")
            continue
        inner = _joined(path, name)
        if type(name) is str and not is_storable(name):
            raise Wrong(f"{root}.{path}", "a name has a character that no database takes.")
        if one is None:
            continue
        field = field_of(inner)
        if field is not None and field.kind is not Kind.STATE:
            raise Wrong(f"{root}.{inner}", f"a number is expected, not {shown(one)}.")
        if kind is dict or kind is list:
            _walk(one, inner, root, depth + 1)
        elif kind is str and not is_storable(one):
            raise Wrong(f"{root}.{inner}", "a character that no database takes is in it.")


def is_storable(text: str) -> bool:
    """Whether both databases take the text: no NUL, and no half of a surrogate pair."""
    return (text.isascii() and "\0" not in text) or (
        "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)
    )


def finite(value: Json) -> float | None:
    """Return a finite number, None for anything else."""
    if type(value) in (int, float) and math.isfinite(value) and abs(value) < LARGEST:
        return float(value)
    return None


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
