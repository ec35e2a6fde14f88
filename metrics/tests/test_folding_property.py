"""Roll-ups and answers are the same before snapshots are folded and after."""

import math
import random
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics import retention, rollups
from metrics.archiving import INTERVALS, Policy
from metrics.buckets import opened
from metrics.chunks import columns_of, header_of
from metrics.history import history
from metrics.models import Config, MetricsSnapshot, Rollup
from metrics.retention import Run
from metrics.tests.builders import NOW
from metrics.tests.test_rollups_property import SERIES, made, put

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed")]


def roll_up():
    while rollups.step(NOW, rollups.LARGE):
        pass


def roll_up_anew():
    Rollup.objects.all().delete()
    Config.objects.filter(key="rollup_state").delete()
    roll_up()


def clean(policy):
    run = Run(trusts_clock=True)
    while not run.is_done:
        run = retention.step(run, policy, NOW)


def slots(least):
    """What the tiers of at least so many seconds say, but for the distance between documents."""
    found = {}
    for row in Rollup.objects.filter(resolution__gte=least):
        header = header_of(row.data)
        columns = {"n": header.n, "seconds": header.seconds}
        for name, stored in row.data["s"].items():
            one = columns_of(stored)
            parts = {"last": one["last"]} if "last" in one else opened(one, header)._asdict()
            columns |= {f"{name} {part}": values for part, values in parts.items()}
        for name, values in columns.items():
            for slot, value in enumerate(values):
                if value and header.n[slot]:
                    found[row.resolution, row.collector, row.start, name, slot] = value
    return found


def answers(step):
    """Statistics of each series over stretches that reach across the border."""
    found = {}
    for hours, until in ((60, 0), (48, 0), (40, 10)):
        start, end = NOW - timedelta(hours=hours), NOW - timedelta(hours=until)
        if (start.timestamp() % step, end.timestamp() % step) != (0, 0):
            continue
        answer = history(SERIES, start, end, 1, NOW)
        found[hours, until, "samples"] = answer.samples
        for line in answer.lines:
            numbers = line.statistics
            found[hours, until, line.name] = (
                (numbers.last,)
                if line.low is None
                else (numbers.mean, numbers.minimum, numbers.maximum)
            )
    return found


def same(one, other):
    assert one.keys() == other.keys(), sorted(one.keys() ^ other.keys())[:5]
    for key in one:
        pairs = (
            zip(one[key], other[key], strict=True)
            if isinstance(one[key], tuple)
            else [(one[key], other[key])]
        )
        for a, b in pairs:
            assert (a is None) is (b is None), (key, a, b)
            assert a is None or math.isclose(a, b, rel_tol=2e-6, abs_tol=1e-9), (key, a, b)


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(seed=st.integers(0, 2**32))
def test_folding_loses_nothing_that_roll_ups_and_answers_say(db, seed):
    chance = random.Random(seed)
    rows = [(at - timedelta(hours=20), data) for at, data in made(chance)]
    step = chance.choice(list(INTERVALS.values()))
    longest = max((data["sampler"]["interval_seconds"] for _, data in rows), default=0)
    with transaction.atomic():
        put(rows)
        roll_up_anew()
        before, said = slots(step), answers(step)
        batch, retention.BATCH = retention.BATCH, chance.choice([2, 5, 25])
        seconds, retention.READ_SECONDS = retention.READ_SECONDS, chance.choice([0, 0.05])
        clean(Policy(downsample_after_days=1, interval=step))
        if chance.random() < 0.5 and step < 86_400:
            step = 86_400
            before = {key: value for key, value in before.items() if key[0] >= step}
            said = None
            clean(Policy(downsample_after_days=1, interval=step))
        retention.BATCH, retention.READ_SECONDS = batch, seconds
        border = Policy(downsample_after_days=1, interval=step).borders(NOW.timestamp()).fold
        for row in MetricsSnapshot.objects.filter(timestamp__lt=NOW - timedelta(days=3)):
            assert row.timestamp.timestamp() >= border or row.timestamp.timestamp() % step == 0
        same(slots(step), before)
        if said is not None and longest <= 3_600:
            same(answers(step), said)
        roll_up_anew()
        same(slots(step), before)
        transaction.set_rollback(True)
