"""What a policy would do and cost, told before it is in force: reads only, and quickly."""

from datetime import datetime, timedelta
from typing import NamedTuple

from metrics import sizes
from metrics.archiving import Policy
from metrics.configuration import DEFAULTS, sampling_interval
from metrics.folding import bucket_seconds
from metrics.querysets.settings import settings_of
from metrics.querysets.snapshots import snapshots
from metrics.retention import SCANNED, WITNESS_SECONDS, believed
from metrics.tiers import DAY, TIERS, moment

AHEAD_DAYS = 30
JUMP = timedelta(hours=24)
"""A clock so far ahead of the samples is pointed out to those who clean up by hand."""

GROWTH = 2.9
"""A folded document has its mirrors beside its values: so many times a sample's."""


class Resolution(NamedTuple):
    """From this age on, in days, up to that one there is a snapshot every so many seconds."""

    from_days: float
    to_days: float
    seconds: int


class Rehearsal(NamedTuple):
    """Bytes are always estimates; rows only where their name is among the `estimates`.

    `bytes` is what rows take now, roll-ups and indexes included; `folded_rows` become
    `fold_into_rows`; `freed_bytes` is what the next run makes room for; `shrink_rows` go for the
    bound by size after that. `believed_now` is behind the clock while a jump forward is not
    believed, and then nothing is done by itself.
    """

    rows: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    delete_rows: int
    fold_rows: int
    fold_into_rows: int
    shrink_rows: int
    freed_bytes: int
    bytes_in_30_days: int
    resolutions: tuple[Resolution, ...]
    believed_now: datetime
    estimates: frozenset[str]

    def witnessed(self, now: datetime) -> datetime | None:
        """Return about when the last samples were taken, if the clock is far ahead of that."""
        if not self.rows or now - self.believed_now <= JUMP:
            return None
        return self.believed_now - timedelta(seconds=WITNESS_SECONDS)


def rehearsal(
    policy: Policy, now: datetime, interval: int | None = None, *, trusts_clock: bool = False
) -> Rehearsal:
    """Return what the next run would do under a policy, and what will be there in 30 days.

    `interval` is the sampling interval to reckon with; by default the one that is set.
    `trusts_clock` tells of a run by hand.
    """
    setting = sampling_interval(settings_of("sampling").get("sampling"))
    interval = interval or setting or DEFAULTS["sampling"]["interval_seconds"]
    everything = snapshots()
    present = believed(now)
    borders = policy.borders((now if trusts_clock else present).timestamp())
    rows = sizes.count(everything)
    gone = sizes.count(everything.filter(timestamp__lt=moment(borders.delete)))
    fold = sizes.Count(0, True)
    buckets = 0
    if policy.folds:
        fold, buckets = _to_fold(policy, borders.delete, borders.fold)
    old = sizes.snapshot_bytes(everything, newest=False) or 0.0
    young = sizes.snapshot_bytes(everything, newest=True) or 0.0
    folded = folded_bytes(old, young)
    freed = gone.rows * old + fold.rows * young - buckets * folded
    estimates = {
        name
        for name, one in (("rows", rows), ("delete_rows", gone), ("fold_rows", fold))
        if not one.is_exact
    }
    mean = young if not policy.folds or not rows.rows else (old + young) / 2
    used = sizes.used_bytes(rows.rows, mean)
    left = rows.rows - gone.rows - fold.rows + buckets
    row = folded if buckets else old
    shrink = _to_shrink(policy, used - freed, left, row)
    return Rehearsal(
        rows=rows.rows,
        bytes=used,
        oldest=everything.first_moment(),
        newest=everything.last_moment(),
        delete_rows=gone.rows,
        fold_rows=fold.rows,
        fold_into_rows=buckets,
        shrink_rows=shrink,
        freed_bytes=max(0, int(freed + shrink * row)),
        bytes_in_30_days=_ahead(policy, present, interval, young, folded),
        resolutions=resolutions(policy, interval),
        believed_now=present,
        estimates=frozenset(
            {
                *estimates,
                "bytes",
                "fold_into_rows",
                "shrink_rows",
                "freed_bytes",
                "bytes_in_30_days",
            }
        ),
    )


def bytes_ahead(policy: Policy, now: datetime, interval: int) -> int:
    """Return only the bytes that will be there in 30 days: nothing is counted for that."""
    everything = snapshots()
    old = sizes.snapshot_bytes(everything, newest=False) or 0.0
    young = sizes.snapshot_bytes(everything, newest=True) or 0.0
    return _ahead(policy, believed(now), interval, young, folded_bytes(old, young))


def resolutions(policy: Policy, interval: int) -> tuple[Resolution, ...]:
    """Return how fine snapshots are at each age, the youngest first."""
    if not policy.folds:
        return (Resolution(0, policy.retention_days, interval),)
    coarse = max(policy.interval, interval)
    return (
        Resolution(0, policy.downsample_after_days, interval),
        Resolution(policy.downsample_after_days, policy.retention_days, coarse),
    )


def _to_fold(policy: Policy, start: int, end: int) -> tuple[sizes.Count, int]:
    """Return the rows that are to be folded, and what they become."""
    first, last = snapshots().unfolded(moment(start), moment(end), policy.interval, 5 * SCANNED)
    first = first or last
    if first is None:
        return sizes.Count(0, True), 0
    found = sizes.count(snapshots().between(first, moment(end)))
    seconds = end - first.timestamp()
    return found, min(found.rows, int(-(-seconds // policy.interval)))


def _to_shrink(policy: Policy, used: float, rows: int, row: float) -> int:
    """Return the rows that go for the bound by size, of those that the policy leaves."""
    over = used - policy.max_mb * sizes.MB if policy.max_mb else 0
    return max(0, min(rows, -int(-over // row))) if row else 0


def folded_bytes(old: float, young: float) -> float:
    """Return the bytes of a folded row: of the oldest, else a guess by a sample's."""
    _, oldest = next(snapshots().documents(), (0.0, None))
    return old if oldest and bucket_seconds(oldest) else young * GROWTH


def _ahead(policy: Policy, now: datetime, interval: int, young: float, folded: float) -> int:
    """Return the bytes that will be there in 30 days if sampling goes on as it is set."""
    first = snapshots().first_moment()
    age = AHEAD_DAYS + ((now - first) / timedelta(days=1) if first else 0)
    kept = min(age, policy.retention_days)
    raw = min(kept, policy.downsample_after_days) if policy.folds else kept
    total = raw * DAY / interval * young
    total += (kept - raw) * DAY / max(policy.interval, interval) * folded
    for tier in TIERS:
        is_finer = policy.folds and tier.seconds < policy.interval
        days = min(raw if is_finer else kept, tier.kept_days or kept)
        total += days * DAY / tier.chunk * sizes.chunks_bytes(tier.seconds)
    bound = policy.max_mb * sizes.MB if policy.max_mb else total
    return int(min(total, bound))
