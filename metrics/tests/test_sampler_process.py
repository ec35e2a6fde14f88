import itertools
import os
import signal
import time

import pytest
from django.db import connection

from metrics.models import MetricsSnapshot
from metrics.tests.fake_host import make_host
from metrics.tests.processes import set_interval, times, wait_for_samples
from perfwatch_site.tests.workplace import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_samples_come_on_time_follow_the_setting_and_end_quietly(processes):
    check_sampling(processes)


def test_the_same_holds_with_redis_between_beat_and_sampler(processes_with_redis):
    check_sampling(processes_with_redis)


def check_sampling(running):
    """One life of the processes: each start costs seconds, so its phases share it."""
    children = running.start_sampling()
    wait_for_samples(4)
    check_spacing_and_numbers()
    check_that_a_changed_interval_takes_effect_within_two_seconds()
    started = time.monotonic()
    for child in children:
        child.send_signal(signal.SIGTERM)
    assert [child.wait(5) for child in children] == [0] * len(children)
    assert time.monotonic() - started < 3
    assert "Traceback" not in running.log.read_text()


def check_spacing_and_numbers():
    taken = times()
    assert [round(b - a) for a, b in itertools.pairwise(taken)] == [1] * (len(taken) - 1)
    assert all(moment % 1 < 0.7 for moment in taken)  # at whole seconds; a busy host is late
    first, *_, last = MetricsSnapshot.objects.order_by("id").values_list("metric_data", flat=True)
    assert first["cpu"]["usage_percent"] is None
    assert 0 <= last["cpu"]["usage_percent"] <= 100
    assert last["memory"]["total_bytes"] > 2**20
    assert last["sampler"]["interval_seconds"] == 1
    assert set(last["sampler"]["status"].values()) == {"ok"}


def check_that_a_changed_interval_takes_effect_within_two_seconds():
    set_interval(3600)
    changed = time.time()
    time.sleep(2.2)
    assert times()[-1] - changed <= 2
    set_interval(1)
    changed = time.time()
    wait_for_samples(1)
    assert times()[-1] - changed <= 2.2  # the second until beat looks, and that until the tick


def test_a_second_sampler_of_the_host_is_refused_with_the_name_of_the_first(processes):
    (first,) = processes.start_sampling()
    wait_for_samples(1)
    second = processes.start("manage.py", "sampler")
    assert second.wait(20) == 1
    assert f"A sampler runs on this host already: process {first.pid}" in processes.log.read_text()
    assert "Traceback" not in processes.log.read_text()


def test_samples_taken_while_the_table_is_locked_are_written_afterwards(processes):
    processes.start_sampling()
    wait_for_samples(1)
    start = time.time()
    with lock_on_the_table():
        time.sleep(2.5)
    wait_for_samples(4)
    end = times()[-1]
    during = [moment for moment in times() if start <= moment <= end]
    assert [int(moment) for moment in during] == list(range(int(during[0]), int(end) + 1))
    identities = MetricsSnapshot.objects.values_list("metric_data__sampler__id", flat=True)
    assert len(set(identities)) == len(identities)


class lock_on_the_table:
    """Another session that keeps everybody else from writing."""

    def __enter__(self):
        self.session = connection.copy()
        if connection.vendor == "sqlite":
            self.session.cursor().execute("BEGIN EXCLUSIVE")
        else:
            self.session.set_autocommit(False)
            self.session.cursor().execute("LOCK TABLE metrics_snapshot IN ACCESS EXCLUSIVE MODE")

    def __exit__(self, *_):
        self.session.connection.rollback()
        self.session.close()


def test_a_sampler_that_starts_without_database_spools_its_samples(processes):
    processes.environment["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
    (sampler,) = processes.start_sampling()
    spool = processes.directory / "data" / "spool.jsonl"
    assert wait_for(lambda: spool.exists() and spool.read_bytes().count(b"\n") >= 2)
    assert sampler.poll() is None
    assert "The database does not take samples" in processes.log.read_text()
    assert "Traceback" not in processes.log.read_text()


def test_a_sampler_that_hangs_in_the_kernel_ends_itself(processes, tmp_path):
    """A pipe that nobody writes into stands for a file of the kernel's that never answers."""
    host = make_host(tmp_path / "host")
    memory = tmp_path / "host/proc/meminfo"
    memory.unlink()
    os.mkfifo(memory)
    processes.environment |= {"PERFWATCH_PROCFS": host.procfs, "PERFWATCH_SYSFS": host.sysfs}
    (sampler,) = processes.start_sampling()
    assert sampler.wait(60) == 1
    assert "messages wait, but none arrives" in processes.log.read_text()
    assert "This process ends, to be started again" in processes.log.read_text()
