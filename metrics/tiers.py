"""The resolutions of roll-ups, once, as data. Pure."""

from datetime import UTC, datetime
from typing import NamedTuple

DAY = 86_400


class Tier(NamedTuple):
    """One resolution.

    A row holds `chunk` seconds in slots of `seconds`. What is newer than `delay` seconds may be
    missing as long as its chunk is open: a finer tier, and in the end the snapshots, have it.
    After `kept_days` rows may be pruned; None keeps them as long as the snapshots.
    """

    seconds: int
    chunk: int
    delay: int
    kept_days: int | None

    def kept_since(self, now: float) -> float:
        """Return the moment before which rows may be pruned."""
        return float("-inf") if self.kept_days is None else now - self.kept_days * DAY


TIERS: tuple[Tier, ...] = (
    Tier(60, 3_600, delay=300, kept_days=35),
    Tier(600, DAY, delay=3_600, kept_days=400),
    Tier(3_600, 7 * DAY, delay=6 * 3_600, kept_days=None),
    Tier(DAY, 90 * DAY, delay=DAY, kept_days=None),
)
"""Finest first. Each length divides the next one, so that a tier can be made of the one before."""

FINEST = TIERS[0]


def floor(moment: float, seconds: int) -> int:
    """Return the last multiple of `seconds` of the epoch up to `moment`."""
    return int(moment // seconds) * seconds


def ceil(moment: float, seconds: int) -> int:
    """Return the first multiple of `seconds` of the epoch from `moment` on."""
    return -floor(-moment, seconds)


def moment(seconds: float) -> datetime:
    """Return the time of a second of the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def finer_than(tier: Tier) -> Tier:
    """Return the tier that a coarse tier is made of."""
    return TIERS[TIERS.index(tier) - 1]
