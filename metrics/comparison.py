"""Two stretches of equal length side by side, and which series changed most. Pure."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from metrics.history import History, Line

BLOCKS = 12
"""Parts of the stretch in which a change may hide: what happened for a twelfth of it is seen."""

SMALL = 0.02
"""A change of this share of a series is one unit of noise, however calm the series is."""

SPREAD = 1.4826
"""The standard deviation of normal noise, in median absolute deviations."""

OUTLIER = 20.0
"""No point counts for more than this many times the noise."""

RARE = 0.2
"""Below this share of the values' own spread, the median of the differences is blind."""

Numbers = tuple[float | None, float | None]


class Change(NamedTuple):
    """One series now and then: each pair is the number now, and the one of the other stretch.

    `score` is how much it changed, in units of its own noise; None where one stretch has none of
    it. `difference` and `percent` are of the means.
    """

    line: Line
    mean: Numbers
    p95: Numbers
    maximum: Numbers
    difference: float | None
    percent: float | None
    score: float | None


def changes(now: History, then: History) -> list[Change]:
    """Return a Change for each series of both, the most remarkable first.

    The points are compared one by one, so the rhythm that both stretches share is no change.
    """
    found = [_change(a, b) for a, b in zip(now.lines, then.lines, strict=True)]
    return sorted(found, key=lambda one: -1 if one.score is None else one.score, reverse=True)


def _change(now: Line, then: Line) -> Change:
    a, b = now.statistics, then.statistics
    difference = None if a.mean is None or b.mean is None else a.mean - b.mean
    return Change(
        line=now,
        mean=(a.mean, b.mean),
        p95=(a.p95, b.p95),
        maximum=(a.maximum, b.maximum),
        difference=difference,
        percent=100 * difference / abs(b.mean) if difference is not None and b.mean else None,
        score=score(now.mean, then.mean) if difference is not None else None,
    )


def score(now: Sequence[float | None], then: Sequence[float | None]) -> float | None:
    """Return how remarkable the change of a series is: its size in standard errors.

    Either all of the stretch is shifted, or a part of it; the larger counts. The noise is that of
    the differences, robust against the change itself; what is slow as well as noisy has fewer
    independent points. None where no two points can be compared.
    """
    pairs = [(a, b) for a, b in zip(now, then, strict=False) if a is not None and b is not None]
    if not pairs:
        return None
    size = max(math.fsum(abs(one[side]) for one in pairs) / len(pairs) for side in (0, 1))
    differences = [a - b for a, b in pairs]
    shift = median(differences)
    rest = [one - shift for one in differences]
    noise = SPREAD * median(abs(one) for one in rest)
    # A series that does something now and then seems to have no noise at all. That of the calmer
    # stretch counts: the other's may be the change that is looked for.
    spreads = [_deviation([one[side] for one in pairs]) for side in (0, 1)]
    calm = math.sqrt(2) * min(filter(None, spreads), default=0.0)
    if noise < RARE * calm:
        noise = calm
    slowness = _slowness(rest, noise)
    width = max(1, len(pairs) // BLOCKS)
    # One point alone is no change, however high.
    most = OUTLIER * noise or math.inf
    tame = [min(max(one, -most), most) for one in differences]
    parts = [math.fsum(block) / len(block) for block in _blocks(tame, width)]
    return max(
        abs(shift) / _error(noise, slowness, len(pairs), size),
        max(abs(part) for part in parts) / _error(noise, slowness, width, size),
    )


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _error(noise: float, slowness: float, points: int, size: float) -> float:
    """Return the standard error of a mean of so many points, at least what is too small to see."""
    return max(noise * math.sqrt(min(1.0, slowness / points)), SMALL * size, 1e-12)


def _slowness(rest: Sequence[float], noise: float) -> float:
    """Return how many points say as much as one independent point: first-order autocorrelation."""
    if not noise:
        return 1.0
    # What sticks out is the change that is looked for, and must not count as slow noise.
    clipped = [min(max(one, -3 * noise), 3 * noise) for one in rest]
    power = math.fsum(one * one for one in clipped)
    if not power:
        return 1.0
    alike = math.fsum(a * b for a, b in pairwise(clipped)) / power
    alike = min(max(alike, 0.0), 0.99)
    return (1 + alike) / (1 - alike)


def _blocks(values: Sequence[float], width: int) -> Iterable[Sequence[float]]:
    # What is left over at the end belongs to the last block.
    last = max(1, len(values) // width) - 1
    for index in range(last):
        yield values[index * width : (index + 1) * width]
    yield values[last * width :]
