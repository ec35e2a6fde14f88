"""How far the roll-ups are: the row `rollup_state` of `config`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from metrics import spans
from metrics.collectors.base import Json
from metrics.models import Config
from metrics.spans import Span
from metrics.tiers import TIERS, Tier, ceil, floor

KEY = "rollup_state"

OVERLAP = 500
"""So many ids below the highest are looked at again: a commit may come late."""


@dataclass
class Progress:
    """One tier: all before `until` is rolled up but for what is `pending` (epoch seconds).

    What is before `since` may be gone: it was pruned with the samples that it was made of.
    """

    until: int
    pending: list[Span] = field(default_factory=list)
    since: int = 0


@dataclass
class State:
    """The progress of all tiers, and the ids of snapshots that have been looked at.

    `id` is the highest; of those within the overlap below it `seen` tells which were there: an id
    is given when a row is inserted and shows when it is committed, not always in this order.
    `closed` is the end of the last closed minute, which is not stored.
    """

    id: int
    seen: list[Span]
    tiers: dict[int, Progress]
    closed: int = field(default=0, compare=False)

    def closed_for(self, tier: Tier) -> int:
        """Return the moment before which what the tier is made of is complete."""
        number = TIERS.index(tier)
        return self.until(TIERS[number - 1]) if number else self.closed

    def mark(self, tier: Tier, start: float, end: float) -> None:
        """Have a stretch of a tier rolled up anew, as far as it was rolled up at all."""
        progress = self.tiers[tier.seconds]
        span = floor(start, tier.seconds), min(ceil(end, tier.seconds), progress.until)
        progress.pending = spans.joined([*progress.pending, span])

    def late(self, start: float, end: float) -> None:
        """Have a stretch rolled up anew in which samples were stored or changed.

        Where finer tiers are pruned, whole slots of the tier above them are made again: they
        cannot be made of the one part of their samples that is new.
        """
        for tier, coarser in pairwise(TIERS):
            if start < self.since(tier):
                start, end = floor(start, coarser.seconds), ceil(end, coarser.seconds)
        self.mark(TIERS[0], start, end)

    def prune(self, tier: Tier, moment: int) -> None:
        """Say that what a tier has before `moment` may go."""
        progress = self.tiers[tier.seconds]
        progress.since = max(progress.since, moment)

    def covers(self, start: int, end: int, ids: Sequence[int] = ()) -> bool:
        """Return whether all tiers are complete in a stretch, and know of these snapshots."""
        for progress in self.tiers.values():
            if progress.until < end or spans.within(progress.pending, start, end):
                return False
        known = {id for first, last in self.seen for id in range(first, last)}
        return all(id <= self.id - OVERLAP or id in known for id in ids)

    def until(self, tier: Tier) -> int:
        """Return up to when a tier is rolled up."""
        return self.tiers[tier.seconds].until

    def since(self, tier: Tier) -> int:
        """Return from when on a tier has all that it was made of."""
        return self.tiers[tier.seconds].since


def load(*, lock: bool = False, wait: bool = True) -> State | None:
    """Return the state; None where there is none yet, or none that can be read.

    With `lock`, inside a transaction, until its end nobody else gets it; without `wait` this
    raises OperationalError when somebody else has it. (On SQLite the transaction is the lock.)
    """
    rows = Config.objects.filter(key=KEY)
    if lock:
        rows = rows.select_for_update(nowait=not wait)
    row = rows.first()
    return parsed(row.value) if row else None


def parsed(value: Json) -> State | None:
    """Return the state that the row holds; None where somebody else wrote nonsense there."""
    try:
        tiers = {
            tier.seconds: Progress(
                int(value[str(tier.seconds)]["until"]),
                _spans(value[str(tier.seconds)]["pending"]),
                int(value[str(tier.seconds)].get("since", 0)),
            )
            for tier in TIERS
        }
        first = value[str(TIERS[0].seconds)]
        return State(int(first["id"]), _spans(first["seen"]), tiers)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def save(state: State) -> None:
    """Write the state."""
    value: dict[str, Json] = {
        str(seconds): {"until": one.until, "pending": one.pending, "since": one.since}
        for seconds, one in state.tiers.items()
    }
    value[str(TIERS[0].seconds)] |= {"id": state.id, "seen": state.seen}
    Config(key=KEY, value=value).save()


def _spans(value: Json) -> list[Span]:
    return spans.joined((int(start), int(end)) for start, end in value)
