"""Imports and removals that a page drives: one step for each poll, so they need no worker.

There is one at a time. How far it is stands in a file beside what was uploaded, so whoever opens
the page goes on with it, also after the server was killed.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError
from django.utils import timezone

from metrics import rebuild, rollup_state, rollups
from metrics.importing.job import Job, Phase, current, save
from metrics.importing.reading import Reader, close_all, reader_of
from metrics.importing.running import JOB, Portion
from metrics.importing.uploads import emptied
from metrics.importing.writing import remove_some, store
from metrics.lock import Held, only_one
from metrics.models import MetricsSnapshot
from metrics.patience import impatient

STEP_SECONDS = 0.25
PATIENCE_SECONDS = 3.0
REST_SECONDS = 10.0
MOST_TOLD = 20
BEGINNING = "upload"
OTHER = "Another import or removal is under way: a command, or another page. This one waits for it."
BUSY = "Somebody else writes to the database just now. Trying again."


class Overtaken(Exception):
    """Somebody else's job is under way: `job`, None where it only just begins."""

    def __init__(self, job: Job | None) -> None:
        super().__init__("Another import or removal is under way.")
        self.job = job


@contextmanager
def beginning() -> Iterator[None]:
    """Let nobody else begin meanwhile; raise Overtaken while a job is under way."""
    try:
        with only_one(BEGINNING):
            job = current()
            if job and not job.is_over:
                raise Overtaken(job)
            emptied(job.files if job else ())
            yield
    except Held:
        raise Overtaken(current()) from None


def begun(person: int, who: str, **about: Any) -> Job:
    """Begin an import (`files`, `skip_bad`) or a removal (`source`, `total`), in `beginning`."""
    phase = Phase.REMOVE if about.get("source") else Phase.CHECK
    if about.get("skip_bad"):
        phase = Phase.WRITE
    now = time.time()
    job = Job(
        uuid.uuid4().hex, phase, person, who, began=now, phase_began=now, stepped=now, **about
    )
    save(job)
    if job.source:
        _log(job, DELETION, "Began to remove.")
    elif job.skip_bad:
        _log(job, ADDITION, "Began to import.")
    return job


def advanced(id: str) -> Job | None:
    """Do one step of a job that is under way; never waits for others. None if it is forgotten."""
    try:
        with only_one(JOB), impatient():
            job = current()
            if job is None or job.id != id or job.is_over:
                return job
            job = _without_rest(job)
            return _noted(replace(_STEPS[job.phase](job), stepped=time.time()))
    except Held:
        return _hindered(OTHER)
    except OperationalError:
        return _hindered(BUSY)


def advanced_for(id: str, seconds: float) -> Job | None:
    """Do steps for a while, letting others write in between."""
    until = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        job = advanced(id)
        if job is None or job.id != id or job.is_over or time.monotonic() > until:
            return job
        time.sleep(0.2 if job.obstacle else min(time.monotonic() - began, 0.02))


def stopped(id: str, who: str) -> Job | None:
    """End a job; what is written or removed by then stays so, and is rolled up by PerfWatch."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with only_one(JOB):
                job = current()
                if job is None or job.id != id or job.is_over:
                    return job
                is_whole = job.phase is Phase.ROLL_UP
                phase, fault = (
                    (Phase.DONE, "") if is_whole else (Phase.REFUSED, f"Stopped by {who}.")
                )
                return _noted(_ended(replace(job, stepped=time.time()), phase, fault))
        except Held:
            if time.monotonic() > until:
                return _hindered(OTHER)
            time.sleep(0.05)


def _noted(job: Job) -> Job:
    """Write down how far a job is, and only then delete the files that it needs no longer."""
    save(job)
    if job.is_over or job.phase is Phase.ROLL_UP:
        emptied(job.files)
    return job


def _without_rest(job: Job) -> Job:
    """Leave out the time in which no page was open: it is no measure of what is left."""
    rest = time.time() - job.stepped
    return replace(job, phase_began=job.phase_began + rest) if rest > REST_SECONDS else job


def _check(job: Job) -> Job:
    """Read on, as long as a step lasts; nothing is written before all is good."""
    until = time.monotonic() + STEP_SECONDS
    with reader_of(job) as reader:
        while reader.is_at(job.items, until) and (portion := reader.head):
            if portion.bad:
                reader.close()
                return _ended(job, Phase.REFUSED, str(portion.bad))
            job = _behind(job, portion, reader)
            if time.monotonic() > until:
                break
        return job if reader.head else _next_file(job, Phase.WRITE)


def _write(job: Job) -> Job:
    """Write the next rows, one transaction, and pass by what is bad before them."""
    until = time.monotonic() + STEP_SECONDS
    with reader_of(job) as reader:
        while reader.is_at(job.items, until) and (portion := reader.head):
            if portion.bad:
                told = (*job.told, str(portion.bad))[:MOST_TOLD]
                job = replace(job, told=told)
                job.summary.bad += 1
            else:
                stored = store(portion.rows, fills_gaps=reader.input.fills_gaps)
                job.summary.count(portion.rows, stored)
            job = _behind(job, portion, reader)
            if portion.rows or time.monotonic() > until:
                break
        return job if reader.head else _next_file(job, Phase.ROLL_UP)


def _remove(job: Job) -> Job:
    """Delete the next rows."""
    removed, after = remove_some(job.source, job.after)
    rows = job.rows + removed
    if after is None:
        return _in_phase(replace(job, rows=rows, total=rows), Phase.ROLL_UP)
    share = min(rows / job.total, 0.99) if job.total else 0.0
    return replace(job, rows=rows, after=after, share=share)


def _roll_up(job: Job) -> Job:
    """Bring the roll-ups up to date; PerfWatch's own task may be at it, too."""
    until = time.monotonic() + STEP_SECONDS
    while rollups.step(timezone.now()):
        if time.monotonic() > until:
            state = rollup_state.load()
            left = rebuild.left(state) if state else 0
            most = max(job.items, left)
            return replace(job, items=most, share=1 - left / most if most else 0.0)
    return _ended(job, Phase.DONE, "")


_STEPS = {
    Phase.CHECK: _check,
    Phase.WRITE: _write,
    Phase.REMOVE: _remove,
    Phase.ROLL_UP: _roll_up,
}


def _behind(job: Job, portion: Portion, reader: Reader) -> Job:
    """Return the job behind a portion."""
    reader.next()
    sizes = [max(one.size, 1) for one in job.files]
    done = sum(sizes[: job.file]) + min(reader.input.read, sizes[job.file])
    rows = job.rows + len(portion.rows)
    return replace(job, items=portion.items, rows=rows, share=done / sum(sizes))


def _next_file(job: Job, phase: Phase) -> Job:
    """Return the job at its next file, or in the next phase behind the last one."""
    if job.file + 1 < len(job.files):
        return replace(job, file=job.file + 1, items=0)
    if phase is Phase.WRITE:
        _log(job, ADDITION, "Began to import.")
    return _in_phase(replace(job, rows=0), phase)


def _in_phase(job: Job, phase: Phase) -> Job:
    return replace(job, phase=phase, phase_began=time.time(), file=0, items=0, share=0.0)


def _ended(job: Job, phase: Phase, fault: str) -> Job:
    close_all()
    if job.source:
        _log(job, DELETION, f"Removed {job.rows:,} rows. {fault}".strip())
    elif job.phase is not Phase.CHECK:
        said = ", ".join(sorted(job.summary.sources)) or "nothing new"
        _log(job, ADDITION, f"Imported {job.summary.added:,} rows: {said}. {fault}".strip())
    return replace(job, phase=phase, fault=fault)


def _log(job: Job, flag: int, message: str) -> None:
    """Write into the log of the administration what the person did who began."""
    if get_user_model().objects.filter(pk=job.person).exists():
        LogEntry.objects.create(
            user_id=job.person,
            content_type=ContentType.objects.get_for_model(MetricsSnapshot),
            object_repr=job.name[:200],
            action_flag=flag,
            change_message=message,
        )


def _hindered(obstacle: str) -> Job | None:
    job = current()
    return replace(job, obstacle=obstacle) if job and not job.is_over else job
