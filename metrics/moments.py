"""Times as people and links write them: `now-6h`, ISO 8601, epoch milliseconds. Pure."""

import re
from datetime import UTC, datetime, timedelta

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
EXAMPLES = "now-6h, 2026-03-01T12:00:00Z or milliseconds of the epoch"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

_RELATIVE = re.compile(r"now(?:([+ -])([0-9]{1,9})([smhdwy]))?")
_MILLISECONDS = re.compile(r"[0-9]{1,16}")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?: ?(?:[Zz]|[+ -][0-9]{2}(?::?[0-9]{2})?))?)?"
)


class BadMoment(ValueError):
    """A text that is no time; the message is a sentence."""


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the time that a text names, in UTC; without an offset it is UTC.

    A day is 86,400 s, a year 365 days. A `+` that an address turned into a blank is understood.
    Raises BadMoment also for times before 1970 and from 2200 on.
    """
    text = text.strip()
    found = _parsed(text, now)
    if found is None:
        raise BadMoment(f"{text[:40]!r} is not understood; write {EXAMPLES}.")
    if not EARLIEST <= found < LATEST:
        raise BadMoment(f"{text[:40]!r} is not between 1970 and 2200.")
    return found


def _parsed(text: str, now: datetime) -> datetime | None:
    try:
        if relative := _RELATIVE.fullmatch(text):
            sign, number, unit = relative.groups()
            seconds = int(number) * SECONDS[unit] if unit else 0
            return now + timedelta(seconds=-seconds if sign == "-" else seconds)
        if _MILLISECONDS.fullmatch(text):
            return EARLIEST + timedelta(milliseconds=int(text))
        return _iso(text) if _ISO.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> datetime:
    # A blank in front of an offset was a plus before it went through an address.
    text = re.sub(r"(:[0-9.,]+) (?=[0-9])", r"\1+", text).replace(",", ".")
    moment = datetime.fromisoformat(re.sub(r"\s+(?=[Zz+-])", "", text).upper())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
