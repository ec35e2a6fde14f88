"""Which ids were given to which source: the row `imported` of `config`.

To open half a million documents for the source that they name takes half a minute.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from metrics import spans
from metrics.collectors.base import Json
from metrics.models import Config
from metrics.querysets.settings import settings_of
from metrics.querysets.snapshots import imported
from metrics.spans import Span

KEY = "imported"
MOST = 50
"""So many stretches of ids are told apart; rows of more are counted by their documents."""


class Source(NamedTuple):
    """What is stored of a source: so many rows, from the first to the last."""

    name: str
    rows: int
    first: datetime
    last: datetime


def noted(runs: Iterable[tuple[int, int, str]]) -> None:
    """Remember of which source the rows of these ids are; ids may be given a second time."""
    known = _known()
    for start, end, source in runs:
        known = {name: spans.without(own, start, end) for name, own in known.items()}
        known[source] = spans.joined([*known.get(source, []), (start, end)])
    known = {name: own for name, own in known.items() if own}
    if sum(map(len, known.values())) > MOST:
        known = {}
    Config(key=KEY, value=known).save()


def forgotten(names: Iterable[str]) -> None:
    """Remember nothing of these sources any more: what is left there was mixed with others."""
    known = _known()
    gone = known.keys() & set(names)
    if gone:
        left = {name: own for name, own in known.items() if name not in gone}
        Config(key=KEY, value=left).save()


def names() -> list[str]:
    """Return the sources that are remembered."""
    return list(_known())


def sources() -> list[Source]:
    """Return what is stored of each source, by name; what is not remembered, by the documents.

    A downsampled row that two sources went into counts for one of them.
    """
    lowest = imported().lowest_id()
    if lowest is None:
        return []
    known = _known()
    stretches = [(name, span) for name, own in known.items() for span in own]
    unknown: list[Span] = [(lowest, 0)]
    for _, (start, end) in stretches:
        unknown = spans.without(unknown, start, end)
    found = [
        Source(stretches[number][0], *rest)
        for number, *rest in imported().counted([span for _, span in stretches])
    ]
    for start, end in unknown:
        found += [Source(*one) for one in imported().filter(id__gte=start, id__lt=end).sources()]
    return [_joined([one for one in found if one.name == name]) for name in sorted(_names(found))]


def _names(found: Iterable[Source]) -> set[str]:
    return {one.name for one in found}


def _joined(parts: list[Source]) -> Source:
    rows = sum(one.rows for one in parts)
    return Source(
        parts[0].name, rows, min(one.first for one in parts), max(one.last for one in parts)
    )


def _known() -> dict[str, list[Span]]:
    """Return the stretches of ids by source; nothing where somebody wrote nonsense there."""
    value: Json = settings_of(KEY).get(KEY)
    if not isinstance(value, Mapping):
        return {}
    try:
        return {
            name: spans.joined((int(start), int(end)) for start, end in own)
            for name, own in value.items()
        }
    except (TypeError, ValueError):
        return {}
