"""What forgetting costs: folding, deleting, and telling beforehand."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from own_database import Place

HEAD = (
    "| | rows | CPU s | s | steps | transaction ms: half | 99 % | longest |\n"
    "|---|---|---|---|---|---|---|---|"
)


class Work(NamedTuple):
    """What a run did: rows, CPU seconds (the server's too), seconds, steps, each transaction's."""

    rows: int
    cpu: float
    seconds: float
    steps: int
    transactions: list[float]

    def row(self, name: str) -> str:
        """Return a row of the table."""
        half, most, longest = self.milliseconds()
        return (
            f"| {name} | {self.rows:,} | {self.cpu:.1f} | {self.seconds:.1f} | {self.steps} "
            f"| {half:.0f} | {most:.0f} | {longest:.0f} |"
        )

    def milliseconds(self) -> tuple[float, float, float]:
        """Return half of the transactions' lengths, 99 % of them, and the longest."""
        found = [1000 * one for one in sorted(self.transactions)] or [0.0]
        return found[len(found) // 2], found[len(found) * 99 // 100], found[-1]


def run(place: Place, now: datetime, **policy: Any) -> Work:
    """Do a run by a policy."""
    from metrics import retention
    from metrics.archiving import Policy

    state, steps = retention.Run(trusts_clock=True), 0
    with transactions() as lengths:
        cpu, began = place.cpu(), time.perf_counter()
        while not state.is_done:
            state = retention.step(state, Policy(**policy), now)
            steps += 1
    seconds, cpu = time.perf_counter() - began, place.cpu() - cpu
    return Work(state.deleted + state.folded, cpu, seconds, steps, lengths)


@contextmanager
def transactions() -> Iterator[list[float]]:
    """Yield the seconds of each transaction that a run makes, its writes outside of one too."""
    from django.db import transaction

    from metrics import retention
    from metrics.querysets.snapshots import SnapshotQuerySet

    lengths: list[float] = []

    @contextmanager
    def timed() -> Iterator[None]:
        began = time.perf_counter()
        with transaction.atomic():
            yield
        lengths.append(time.perf_counter() - began)

    class Timed:
        atomic = staticmethod(timed)
        set_rollback = staticmethod(transaction.set_rollback)

    real = SnapshotQuerySet.delete_oldest

    def delete_oldest(self: SnapshotQuerySet, *args: Any) -> int:
        began = time.perf_counter()
        found = real(self, *args)
        lengths.append(time.perf_counter() - began)
        return found

    retention.transaction, SnapshotQuerySet.delete_oldest = Timed, delete_oldest
    try:
        yield lengths
    finally:
        retention.transaction, SnapshotQuerySet.delete_oldest = transaction, real


def rehearse(now: datetime, days: int) -> None:
    """Print how long rehearsals of some policies take."""
    from metrics.archiving import Policy
    from metrics.rehearsal import rehearsal

    print("| policy | first ms | median ms | longest ms |\n|---|---|---|---|")
    for name, policy in (
        ("default: all but 7 days to be folded", Policy()),
        ("a third of the days: most to be deleted", Policy(retention_days=max(1, days // 3))),
        ("a year, never downsampled", Policy(365, 365)),
        ("bounded by 500 MB", Policy(max_mb=500)),
    ):
        times = []
        for _ in range(15):
            began = time.perf_counter()
            rehearsal(policy, now)
            times.append((time.perf_counter() - began) * 1000)
        print(
            f"| {name} | {times[0]:.0f} | {statistics.median(times):.0f} | {max(times):.0f} |",
            flush=True,
        )


def delete(place: Place, now: datetime, days: int) -> None:
    """Print what deleting the oldest days costs."""
    from metrics.querysets.snapshots import snapshots

    first = snapshots().first_moment()
    kept = (now - first) // timedelta(days=1) - days
    print(HEAD)
    work = run(place, now, retention_days=kept, downsample_after_days=kept)
    print(work.row(f"deleting {days} overdue days"), flush=True)
