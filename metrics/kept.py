"""What is kept, of each resolution: rows, bytes, from when to when, and what a day adds."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db.models import Count, Min

from metrics import rollup_state, sizes
from metrics.archiving import Policy
from metrics.querysets.rollups import rollups
from metrics.querysets.snapshots import snapshots
from metrics.rehearsal import folded_bytes
from metrics.retention import SCANNED
from metrics.tiers import DAY, FINEST, TIERS, Tier, moment

LOOKED_AT = 10
"""So many documents are opened at each end: to open all would take minutes."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Kept(NamedTuple):
    """One resolution: a row every so many `seconds`, None where they differ.

    `bytes` and `bytes_per_day` are estimates, indexes included; `rows` where it is not `is_exact`.
    Of those that lie at whole minutes `folded` is the share of downsampled ones, as far as the
    oldest and the youngest of them tell: samples of others may lie there, too.
    """

    seconds: int | None
    is_rollup: bool
    rows: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    bytes_per_day: int
    is_exact: bool = True
    folded: float = 0.0


def kept(policy: Policy, interval: int, now: datetime) -> list[Kept]:
    """Return samples, what lies at whole minutes before them, and roll-ups, as far as there are."""
    everything = snapshots()
    border = _first_sample(now)
    old, young = everything.filter(timestamp__lt=border), everything.filter(timestamp__gte=border)
    row = sizes.snapshot_bytes(young, newest=True) or 0.0
    oldest = sizes.snapshot_bytes(everything, newest=False) or 0.0
    folded = folded_bytes(oldest, row)
    folds_a_day = DAY / max(policy.interval, interval) if policy.folds else 0
    counts = sizes.count(young), sizes.count(old)
    found = [
        Kept(
            *(interval, False, counts[0].rows, int(counts[0].rows * row)),
            *(young.first_moment(), young.last_moment(), int(DAY / interval * row)),
            counts[0].is_exact,
        ),
        Kept(
            *(None, False, counts[1].rows, int(counts[1].rows * oldest)),
            *(old.first_moment(), old.last_moment(), int(folds_a_day * folded)),
            counts[1].is_exact,
            _share_of_folded(old.edges(LOOKED_AT)),
        ),
        *_rolled_up(everything.first_moment(), now),
    ]
    return [one for one in found if one.rows]


def _first_sample(now: datetime) -> datetime:
    """Return the time of the first snapshot that is not at a whole minute, as folded ones are."""
    start, end = EARLIEST, now + timedelta(days=1)
    first, last = snapshots().unfolded(start, end, FINEST.seconds, 5 * SCANNED)
    return first or last or end


def _share_of_folded(ids: list[int]) -> float:
    samples = set(snapshots().of_samples(ids))
    return sum(id not in samples for id in ids) / max(1, len(ids))


def _rolled_up(first: datetime | None, now: datetime) -> list[Kept]:
    state = rollup_state.load()
    numbers = {
        one["resolution"]: one
        for one in rollups()
        .values("resolution")
        .order_by()
        .annotate(rows=Count("id"), chunks=Count("start", distinct=True), oldest=Min("start"))
    }
    found = []
    for tier in TIERS:
        if tier.seconds in numbers:
            one = numbers[tier.seconds]
            size = sizes.chunks_bytes(tier.seconds)
            # Chunks are longer than what was sampled: their first slots may be empty.
            oldest = max(one["oldest"], _slot(first, tier)) if first else one["oldest"]
            newest = min(now, moment(state.until(tier))) if state else None
            found.append(
                Kept(
                    *(tier.seconds, True, one["rows"], int(one["chunks"] * size)),
                    *(oldest, newest, int(DAY / tier.chunk * size)),
                )
            )
    return found


def _slot(at: datetime, tier: Tier) -> datetime:
    return moment(at.timestamp() // tier.seconds * tier.seconds)
