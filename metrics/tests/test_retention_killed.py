"""Killed at any moment and run again, cleaning up neither loses nor doubles a sample."""

import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection

from metrics import retention, rollups
from metrics.archiving import Policy
from metrics.chunks import header_of
from metrics.lock import Held, only_one
from metrics.models import MetricsSnapshot, Rollup
from metrics.retention import Phase, Run
from metrics.tests.builders import NOW, document
from metrics.tests.processes import ROOT, Processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("cpu_alone")]
DAY = timedelta(days=1)
CLEAN = """
import django; django.setup()
import sys
from metrics import retention
from metrics.archiving import Policy
from metrics.chunks import header_of
from metrics.tests.builders import NOW
retention.READ_SECONDS, retention.BATCH = 0, 15
print("ready", flush=True)
list(retention.whole_run(retention.Run(trusts_clock=True), Policy(), NOW))
"""


def sampled(start, count, seconds):
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=at,
            metric_type="aggregated",
            metric_data=document(at, seconds, cpu__usage_percent=float(number % 100)),
        )
        for number in range(count)
        for at in [start + timedelta(seconds=seconds * number, milliseconds=2)]
    )


def standing_for():
    """How many samples the rows of 30 days stand for, and the sum of their CPU usage.

    In one query: what a killed client had asked for, PostgreSQL may still be doing.
    """
    count = total = 0
    rows = MetricsSnapshot.objects.filter(timestamp__gte=NOW - 30 * DAY)
    for data in rows.values_list("metric_data", flat=True):
        n = data.get("downsampled", {"samples": 1})["samples"]
        count += n
        total += n * data["cpu"]["usage_percent"]
    return count, round(total, 3)


def test_kill_9_at_random_moments(tmp_path):
    sampled(NOW - 8 * DAY, 360, 30)
    young = standing_for()
    sampled(NOW - 31 * DAY, 50, 30)
    while rollups.step(NOW, rollups.LARGE):
        pass
    hours = list(Rollup.objects.filter(resolution=3_600).values_list("data", flat=True))
    environment = Processes(tmp_path).environment | {
        "DJANGO_SETTINGS_MODULE": "perfwatch_site.settings"
    }
    connection.close()
    chance, ends = random.Random(), []
    for attempt in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", CLEAN], cwd=ROOT, env=environment, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        if attempt < 2:
            time.sleep(chance.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
        ends.append(process.wait(60))
        process.stdout.close()
        assert standing_for() == young
        if ends[-1] == 0:
            break
    assert ends[-1] == 0
    assert standing_for() == young
    assert MetricsSnapshot.objects.count() == 3
    now = list(Rollup.objects.filter(resolution=3_600, start__gte=NOW - 14 * DAY))
    assert [row.data for row in now] == [data for data in hours if sum(header_of(data).n) >= 100]


def test_two_steps_at_once_are_impossible_and_the_lock_goes_with_its_holder():
    inside, leave = threading.Event(), threading.Event()
    refused = []

    def hold():
        try:
            with only_one(retention.JOB):
                inside.set()
                leave.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(5)
    for attempt in (
        lambda: retention.step(Run(), Policy(), NOW),
        lambda: list(retention.whole_run(Run(), Policy(), NOW)),
    ):
        with pytest.raises(Held, match=r"Another cleanup is under way\."):
            attempt()
        refused.append(attempt)
    leave.set()
    thread.join()
    assert retention.step(Run(), Policy(), NOW).phase is Phase.FOLD


def test_page_command_and_beat_share_the_work():
    """Each drives a run of its own, step by step and in turns; together they do what one does."""
    sampled(NOW - 8 * DAY, 240, 30)
    before = standing_for()
    while rollups.step(NOW, rollups.LARGE):
        pass
    runs = [Run(trusts_clock=True)] * 3
    while not all(run.is_done for run in runs):
        runs = [retention.step(run, Policy(), NOW) for run in runs]
    assert sum(run.folded for run in runs) == 240
    assert standing_for() == before
    assert MetricsSnapshot.objects.count() == 2
