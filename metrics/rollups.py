"""Rolls up snapshots: closed buckets, in small steps, each of which is one transaction."""

from copy import deepcopy
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from metrics import rollup_state, spans
from metrics.buckets import Buckets, all_series, slots_of
from metrics.chunks import COLLECTORS, Chunk, columns_of, header_of, patched
from metrics.collectors.fields import Kind
from metrics.querysets.rollups import rollups
from metrics.querysets.snapshots import snapshots
from metrics.rollup_state import OVERLAP, Progress, State
from metrics.spans import Span
from metrics.tiers import FINEST, TIERS, Tier, ceil, finer_than, floor, moment

GRACE_SECONDS = 10
"""How long after its end a bucket is held open for samples that are just being written."""

SCANNED_ROWS = 1_000


class Limits(NamedTuple):
    """How much one step may do: snapshots that it reads, slots of a finer tier that it sums up."""

    rows: int = 200
    slots: int = 240


class Work(NamedTuple):
    """A stretch of one chunk of a tier; pending, or next in time."""

    tier: Tier
    start: int
    end: int
    is_pending: bool


SMALL = Limits()
"""A step of about a tenth of a second, where a host has few devices."""

LARGE = Limits(5_000, 1_500)


def step(now: datetime, limits: Limits = SMALL, *, wait: bool = False) -> bool:
    """Do the most urgent piece of work; return whether there is more.

    Without `wait` this raises OperationalError when another process is at it.
    """
    with transaction.atomic():
        state = rollup_state.load(lock=True, wait=wait)
        closed = floor(now.timestamp() - GRACE_SECONDS, FINEST.seconds)
        if state is None or state.id > (snapshots().highest_id() or 0):
            rollup_state.save(beginning(closed, state))
            return True
        before = deepcopy(state)
        state.closed = closed
        more = scan(state)
        work = next_work(state)
        if work:
            do = roll_up if work.tier is FINEST else sum_up
            do(state, work, limits)
        if state != before:
            rollup_state.save(state)
        return more or work is not None


def changed(start: datetime, end: datetime) -> None:
    """Have the roll-ups of a range made anew: for whoever writes or changes old snapshots."""
    with transaction.atomic():
        if state := rollup_state.load(lock=True):
            state.late(start.timestamp(), end.timestamp())
            rollup_state.save(state)


def beginning(closed: int, before: State | None = None) -> State:
    """Return the state of a database that nothing was rolled up in: all is pending.

    What was pruned `before` stays unsaid: it cannot be made again.
    """
    rows = snapshots()
    highest = rows.highest_id() or 0
    seen = spans.joined((id, id + 1) for id, _ in rows.since_id(highest - OVERLAP, OVERLAP))
    tiers = {tier.seconds: Progress(floor(closed, tier.seconds)) for tier in TIERS}
    if before:
        for seconds, progress in tiers.items():
            progress.since = before.tiers[seconds].since
    state = State(highest, seen, tiers)
    oldest = [moment for moment in (rows.first_moment(), rollups().first_start()) if moment]
    if oldest:
        state.mark(FINEST, min(oldest).timestamp(), closed)
    return state


def scan(state: State) -> bool:
    """Mark what was stored since the last time in stretches that are rolled up already.

    What is newer than that needs no mark. Downsampled documents stand for samples that the
    roll-ups have already, in finer detail. Return whether there are more rows to look at.
    """
    rows = snapshots().since_id(state.id - OVERLAP, SCANNED_ROWS + OVERLAP)
    known = {id for start, end in state.seen for id in range(start, end)}
    until = state.until(FINEST)
    late = {id: at.timestamp() for id, at in rows if id not in known and at.timestamp() < until}
    for id in snapshots().of_samples(late):
        state.late(late[id], late[id] + 0.001)
    if rows:
        state.id = max(state.id, rows[-1][0])
        ids = ((id, id + 1) for id, _ in rows)
        state.seen = spans.within(
            spans.joined([*state.seen, *ids]), state.id - OVERLAP + 1, state.id + 1
        )
    return len(rows) == SCANNED_ROWS + OVERLAP


def next_work(state: State) -> Work | None:
    """Return the most urgent piece of work: the newest first.

    A coarse chunk waits until the finer ones that it is made of are done.
    """
    for tier in TIERS:
        start = state.until(tier)
        chunk_end = floor(start, tier.chunk) + tier.chunk
        end = min(floor(state.closed_for(tier), tier.seconds), chunk_end)
        if end > start and (end == chunk_end or end - start >= tier.delay):
            return Work(tier, start, end, is_pending=False)
    finer: list[Span] = []
    for tier in TIERS:
        pending = state.tiers[tier.seconds].pending
        for start, end in reversed(pending):
            chunk = floor(end - 1, tier.chunk)
            if not spans.within(finer, chunk, chunk + tier.chunk):
                return Work(tier, max(start, chunk), end, is_pending=True)
        finer = spans.joined([*finer, *pending])
    return None


def roll_up(state: State, work: Work, limits: Limits) -> None:
    """Make slots of the finest tier of snapshots; the stretch lies in one chunk."""
    tier, start, end, is_pending = work
    chunk = floor(start, tier.chunk)
    old = rollups().of_collectors(COLLECTORS).chunks(tier.seconds, moment(chunk))
    if is_pending and not old:
        # It may have been pruned: then its other slots are needed too, for the coarser tiers.
        start, end = chunk, min(chunk + tier.chunk, state.until(tier))
        state.mark(tier, start, end)
    rows = snapshots()
    found = rows.between(moment(start), moment(end)).moments(limits.rows + 1)
    if len(found) > limits.rows:
        end = max(floor(found[0], tier.seconds) + tier.seconds, floor(found[-1], tier.seconds))
        found = [at for at in found if at < end] or found[:1]
    # A new chunk ends with its last sample: a document an hour is one slot, not sixty.
    filled = end if old or not found else floor(found[-1], tier.seconds) + tier.seconds
    buckets = Buckets(start, tier.seconds, (filled - start) // tier.seconds)
    if found:
        buckets.add(rows.between(moment(start), moment(end)).documents(), all_series)
    write(tier, chunk, old, dict.fromkeys(COLLECTORS, buckets))
    if not found:
        start, end = _leap(state, Work(tier, start, end, is_pending))
    _done(state, Work(tier, start, end, is_pending))


def sum_up(state: State, work: Work, limits: Limits) -> None:
    """Make slots of a tier of those of the tier before; the stretch lies in one chunk."""
    tier, start, end, is_pending = work
    finer = finer_than(tier)
    end = min(end, start + max(1, limits.slots * finer.seconds // tier.seconds) * tier.seconds)
    count = (end - start) // tier.seconds
    buckets = {collector: Buckets(start, tier.seconds, count) for collector in COLLECTORS}
    stored = rollups().of_collectors(COLLECTORS)
    chunks = stored.between(finer.seconds, moment(floor(start, finer.chunk)), moment(end))
    is_empty = True
    for collector, chunk_start, data in chunks.data():
        is_empty = False
        _add_chunk(buckets[collector], chunk_start, finer.seconds, data, (start, end))
    chunk = floor(start, tier.chunk)
    write(tier, chunk, stored.chunks(tier.seconds, moment(chunk)), buckets)
    if is_empty:
        start, end = _leap(state, Work(tier, start, end, is_pending))
    _done(state, Work(tier, start, end, is_pending))


def write(tier: Tier, start: int, old: dict[str, Chunk], new: dict[str, Buckets]) -> None:
    """Put the new buckets into the rows of one chunk; write those that changed by it."""
    rows, gone = {}, []
    slots = tier.chunk // tier.seconds
    for collector, buckets in new.items():
        before = old.get(collector)
        if before or any(buckets.header.n):
            first = (buckets.start - start) // tier.seconds
            chunk = patched(before, slots, collector, first, buckets)
            if not any(chunk["n"]):
                gone.append(collector)
            elif chunk != before:
                rows[collector] = chunk
    if rows:
        rollups().put(tier.seconds, moment(start), rows)
    if gone:
        rollups().filter(resolution=tier.seconds, start=moment(start), collector__in=gone).delete()


def _add_chunk(buckets: Buckets, chunk_start: int, seconds: int, data: Chunk, span: Span) -> None:
    slots = slots_of(chunk_start, seconds, header_of(data), buckets, span)
    buckets.add_header(slots)
    for name, stored in data["s"].items():
        columns = columns_of(stored)
        kind = Kind.COUNTER if "last" in columns else Kind.DELTA if "num" in columns else Kind.GAUGE
        buckets.add_slots(slots, name, kind, columns)


def _leap(state: State, work: Work) -> Span:
    """Return the empty stretch around an empty one: nothing was sampled for months, perhaps."""
    tier, start, end, is_pending = work
    if not is_pending:
        closed = floor(state.closed_for(tier), tier.seconds)
        following = _first(tier, end)
        return start, max(end, closed if following is None else min(closed, following))
    begin = min(one for one, until in state.tiers[tier.seconds].pending if one <= start < until)
    before = _last(tier, begin, start)
    empty = ceil(begin if before is None else before, tier.chunk)
    if empty >= start:
        return start, end
    rollups().between(tier.seconds, moment(empty), moment(start)).delete()
    return empty, end


def _first(tier: Tier, since: int) -> int | None:
    """Return where a tier's source has something from `since` on."""
    if tier is FINEST:
        found = snapshots().between(moment(since), None).first_moment()
    else:
        finer = finer_than(tier)
        found = rollups().between(finer.seconds, moment(since)).first_start()
    return floor(found.timestamp(), tier.seconds) if found else None


def _last(tier: Tier, start: int, end: int) -> int | None:
    """Return up to where a tier's source has something in a stretch."""
    if tier is FINEST:
        found = snapshots().between(moment(start), moment(end)).last_moment()
        return floor(found.timestamp(), tier.seconds) + tier.seconds if found else None
    finer = finer_than(tier)
    chunk = moment(floor(start, finer.chunk))
    last = rollups().between(finer.seconds, chunk, moment(end)).last_start()
    return round(last.timestamp()) + finer.chunk if last else None


def _done(state: State, work: Work) -> None:
    progress = state.tiers[work.tier.seconds]
    if not work.is_pending:
        progress.until = work.end
        return
    progress.pending = spans.without(progress.pending, work.start, work.end)
    if work.tier is not TIERS[-1]:
        state.mark(TIERS[TIERS.index(work.tier) + 1], work.start, work.end)
