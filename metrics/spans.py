"""Sets of stretches of time (or of ids): sorted lists of (start, end), end excluded. Pure."""

from collections.abc import Iterable
from itertools import pairwise

Span = tuple[int, int]
MOST = 200


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same stretches, sorted and without overlaps.

    At most 200: beyond that the smallest gaps are filled, which costs work but loses nothing.
    """
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    if len(found) <= MOST:
        return found
    gaps = sorted(later[0] - one[1] for one, later in pairwise(found))
    limit = gaps[len(found) - MOST - 1]
    merged = [found[0]]
    for start, end in found[1:]:
        if start - merged[-1][1] <= limit:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def without(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """Return the stretches without what lies between `start` and `end`."""
    found = [piece for a, b in spans for piece in ((a, min(b, start)), (max(a, end), b))]
    return joined(found)


def within(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """Return what of the stretches lies between `start` and `end`."""
    return joined((max(a, start), min(b, end)) for a, b in spans)


def length(spans: Iterable[Span]) -> int:
    """Return the sum of the lengths."""
    return sum(end - start for start, end in spans)
