"""Forgets: deletes and folds snapshots by the archive policy, in small steps.

Each step is one short transaction, so a run may end anywhere and begin anew: what is done is seen
by the rows themselves. Rows of other types are never touched.
"""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import connection, transaction

from metrics import chunks, rollup_state, rollups, sizes
from metrics.archiving import INTERVALS, Policy
from metrics.buckets import Buckets
from metrics.configuration import DEFAULTS, sampling_interval
from metrics.folding import Fold, bucket_seconds
from metrics.lock import only_one
from metrics.models import ArchivePolicy
from metrics.querysets.rollups import rollups as chunk_rows
from metrics.querysets.settings import settings_of
from metrics.querysets.snapshots import snapshots
from metrics.querysets.values import LOWEST_ID
from metrics.tiers import DAY, TIERS, Tier, floor, moment

log = logging.getLogger("perfwatch.retention")

JOB = "cleanup"
MOST_ROWS = {"sqlite": 1_000, "postgresql": 5_000}
READ_SECONDS = 0.04
"""How long a step reads and folds before it writes."""

WRITE_SECONDS = 0.025
"""How long a transaction should last: batches of rows grow and shrink to meet it."""

BATCH = 25
SCANNED = 20_000
CHUNKS = 30

YOUNG_SECONDS = 3_600
"""So much is kept whatever the bound by size."""

WITNESS_SECONDS = 3 * 3_600
"""So long must samples have been coming before a clock is believed that jumped forward."""


class Phase(StrEnum):
    """What a run does, in this order."""

    DELETE = "delete"
    FOLD = "fold"
    SHRINK = "shrink"
    PRUNE = "prune"
    DONE = "done"


@dataclass(frozen=True)
class Run:
    """How far a run is; small and plain, so that it can travel in a message or a form.

    `deleted` and `folded` count rows, `chunks` roll-ups; `position` is a second of the epoch,
    `rows` the size of the next batch, `over` the rows that are still to go for the bound by size.
    `trusts_clock` is for people, who were asked.
    """

    phase: Phase = Phase.DELETE
    position: float = 0
    rows: int = 200
    over: int | None = None
    deleted: int = 0
    folded: int = 0
    chunks: int = 0
    trusts_clock: bool = False

    @property
    def is_done(self) -> bool:
        """Return whether there is nothing left to do."""
        return self.phase is Phase.DONE

    def as_json(self) -> dict[str, Any]:
        """Return what `Run.of` reads."""
        return asdict(self)

    @classmethod
    def of(cls, value: dict[str, Any]) -> "Run":
        """Return the run that `as_json` wrote; raise ValueError or TypeError for nonsense."""
        return cls(**value | {"phase": Phase(value["phase"])})


def current_policy() -> Policy:
    """Return the policy that rules, with the bound by size from `config.retention`."""
    return policy_of(ArchivePolicy.current())


def policy_of(row: ArchivePolicy) -> Policy:
    """Return the numbers of a policy's row; an interval that is unknown is an hour."""
    retention = settings_of("retention").get("retention")
    bound = retention.get("max_mb") if isinstance(retention, dict) else None
    return Policy(
        row.retention_days,
        row.downsample_after_days,
        INTERVALS.get(row.downsample_interval, 3_600),
        bound if type(bound) is int and bound > 0 else None,
    )


def believed(now: datetime) -> datetime:
    """Return the present as far as samples witness it.

    A clock that jumped forward would make all there is look old. So time is believed only up to
    three hours ahead of what three hours of samples, counted by their ids, say.
    """
    interval = sampling_interval(settings_of("sampling").get("sampling"))
    seconds = interval or DEFAULTS["sampling"]["interval_seconds"]
    witness = snapshots().witness(math.ceil(WITNESS_SECONDS / seconds))
    return now if witness is None else min(now, witness + timedelta(seconds=2 * WITNESS_SECONDS))


def step(run: Run, policy: Policy, now: datetime) -> Run:
    """Do one bounded piece of work; return how far the run is then.

    Raises lock.Held where another run does a step at this moment, and OperationalError where
    somebody else writes; then nothing has happened, and the same step can be done again.
    """
    with only_one(JOB):
        return _advanced(run, policy, now)


def whole_run(run: Run, policy: Policy, now: datetime) -> Iterator[Run]:
    """Do a run to its end, alone; yield how far it is after each step.

    Raises lock.Held where another run is under way. Between steps others get to write.
    """
    with only_one(JOB):
        while not run.is_done:
            began = time.monotonic()
            run = _advanced(run, policy, now)
            yield run
            time.sleep(min(time.monotonic() - began, 0.02))


def _advanced(run: Run, policy: Policy, now: datetime) -> Run:
    at = (now if run.trusts_clock else believed(now)).timestamp()
    borders = policy.borders(at)
    if run.phase is Phase.DELETE:
        run, is_done = _delete(run, borders.delete, run.rows)
        return replace(run, phase=Phase.FOLD) if is_done else run
    if run.phase is Phase.FOLD:
        return _fold(run, policy, borders.fold, now)
    if run.phase is Phase.SHRINK:
        return _shrink(run, policy, int(at))
    if run.phase is Phase.PRUNE:
        first = snapshots().first_moment() if policy.max_mb else None
        before = max(borders.delete, int(first.timestamp()) if first else 0)
        return _prune(run, before, at, now)
    return run


def _delete(run: Run, before: float, most: int) -> tuple[Run, bool]:
    """Delete at most a batch from before a moment; return also whether nothing more is there."""
    rows = min(run.rows, most, MOST_ROWS[connection.vendor])
    began = time.monotonic()
    deleted = snapshots().delete_oldest(moment(before), rows)
    took = time.monotonic() - began
    size = run.rows * 3 // 2 if took < WRITE_SECONDS / 2 else run.rows
    size = size if took < WRITE_SECONDS else size // 2
    size = min(max(size, 20), MOST_ROWS[connection.vendor])
    return replace(run, rows=size, deleted=run.deleted + deleted), deleted < rows


def _shrink(run: Run, policy: Policy, at: int) -> Run:
    """Delete the oldest beyond the bound by size, but nothing of the last hour."""
    if policy.max_mb is not None and run.over is None:
        # Once for each run: on PostgreSQL what is there is not known at every moment.
        return replace(run, over=sizes.excess(policy.max_mb))
    if not run.over:
        return replace(run, phase=Phase.PRUNE)
    before = run.deleted
    over = run.over
    run, is_done = _delete(run, at - YOUNG_SECONDS, over)
    return replace(run, over=0 if is_done else over - (run.deleted - before))


def _fold(run: Run, policy: Policy, before: int, now: datetime) -> Run:
    """Fold what of one bucket, or of some small ones, fits into a step."""
    began = time.monotonic()
    while policy.folds:
        start = moment(run.position)
        found, last = snapshots().unfolded(start, moment(before), policy.interval, SCANNED)
        if found is None and last is not None:
            return replace(run, position=last.timestamp())
        if found is None:
            break
        run = replace(run, position=floor(found.timestamp(), policy.interval))
        folded = _fold_bucket(int(run.position), policy.interval, began)
        if folded is None:
            # Samples are rolled up before they are folded: who else would see them one by one?
            if not rollups.step(now):
                break
            return run
        run = replace(run, folded=run.folded + folded)
        if time.monotonic() - began > READ_SECONDS / 2:
            return run
    return replace(run, phase=Phase.SHRINK)


def _fold_bucket(bucket: int, seconds: int, began: float) -> int | None:
    """Fold the oldest rows of a bucket; return how many, None where roll-ups are not ready."""
    state = rollup_state.load()
    if state is None or not state.covers(bucket, bucket + seconds):
        return None
    portion = _read(bucket, seconds, began)
    if not state.covers(bucket, bucket + seconds, portion.ids):
        return None
    return portion.raw if _replaced(portion, bucket, seconds) else 0


class _Portion(NamedTuple):
    """Rows of a bucket, how many of them were not there as its own document, and what they make."""

    ids: list[int]
    raw: int
    document: dict[str, Any]


def _read(bucket: int, seconds: int, began: float) -> _Portion:
    """Fold the oldest rows of a bucket, for as long as a step may last."""
    fold = Fold(bucket, seconds)
    ids: list[int] = []
    raw = 0
    after, end = (moment(bucket), LOWEST_ID), moment(bucket + seconds)
    most = MOST_ROWS[connection.vendor]
    while rows := snapshots().portion(after, end, BATCH):
        for id, _, document in rows:
            ids.append(id)
            raw += bucket_seconds(document) < seconds
            fold.add(document)
        id, at, _ = rows[-1]
        after = at, id
        is_over = time.monotonic() - began > READ_SECONDS
        if is_over or len(rows) < BATCH or len(ids) + BATCH > most:
            break
    return _Portion(ids, raw, fold.document())


def _replaced(portion: _Portion, bucket: int, seconds: int) -> bool:
    """Write what a portion makes in its rows' place; False where somebody was quicker."""
    with transaction.atomic():
        state = rollup_state.load(lock=True, wait=False)
        if state is None or not state.covers(bucket, bucket + seconds, portion.ids):
            return False
        if not snapshots().replace(portion.ids, moment(bucket), portion.document):
            transaction.set_rollback(True)
            return False
        finer = [tier for tier in TIERS if tier.seconds < seconds]
        if any(state.since(tier) < bucket + seconds for tier in finer):
            for tier in finer:
                state.prune(tier, bucket + seconds)
            rollup_state.save(state)
    return True


def _prune(run: Run, before: int, at: float, now: datetime) -> Run:
    """Delete roll-ups whose samples are gone or folded, or that are old; one bounded piece."""
    with transaction.atomic():
        state = rollup_state.load(lock=True, wait=False)
        old = {tier: floor(tier.kept_since(at), DAY) for tier in TIERS if tier.kept_days}
        if state and any(state.since(tier) < end for tier, end in old.items()):
            for tier, end in old.items():
                state.prune(tier, end)
            rollup_state.save(state)
        for tier in TIERS if state else ():
            end = max(state.since(tier) if state else 0, before)
            gone = chunk_rows().delete_oldest(tier.seconds, moment(end - tier.chunk), CHUNKS)
            if gone or _trimmed(tier, before):
                return replace(run, chunks=run.chunks + gone)
    policy = ArchivePolicy.objects.order_by("id").values("id")[:1]
    # Not save(): this is no change of the policy, and writes no mirror.
    ArchivePolicy.objects.filter(id__in=policy).update(last_archive_run=now)
    return replace(run, phase=Phase.DONE)


def _trimmed(tier: Tier, before: int) -> bool:
    """Empty the slots from before a moment in one row that reaches beyond it; False without any.

    By whole days: long rows are not written anew every hour.
    """
    start, end = floor(before, tier.chunk), floor(before, max(DAY, tier.seconds))
    count = (end - start) // tier.seconds
    if count <= 0:
        return False
    at = moment(start)
    ends = at, at + timedelta(seconds=1)
    for name in chunks.COLLECTORS:
        headers = chunk_rows().columns(tier.seconds, [name], [], *ends)
        if any(any(chunks.column_of(columns.header[0])[:count]) for columns in headers):
            old = chunk_rows().of_collectors([name]).chunks(tier.seconds, at)
            rollups.write(tier, start, old, {name: Buckets(start, tier.seconds, count)})
            return True
    return False
