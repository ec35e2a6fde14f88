"""The verdict of the real sampler beside real loads, as far as the machine can tell.

Whatever else runs here may bring a verdict that comes before the expected one, so those count too.
The loads give way to everything else (nice 19) and end as soon as the verdict has been passed.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from metrics.collectors import lookup
from metrics.kernel.host import Host
from metrics.sampling import Sampler
from metrics.verdict import IPC, RULES, verdict

STRESS = shutil.which("stress-ng", path="/usr/bin:/usr/local/bin:/bin")
CPUS = os.cpu_count() or 1
PATIENCE_SECONDS = 90
PRESSURE = Path("/proc/pressure/io")
TITLES = [rule.title for rule in RULES]

pytestmark = pytest.mark.skipif(STRESS is None, reason="the package stress-ng is not installed")


def is_bounded():
    """Whether this process may not use all CPUs, of which the kernel counts all."""
    quota = Path("/sys/fs/cgroup/cpu.max")
    bounded = quota.exists() and not quota.read_text().startswith("max")
    return bounded or len(os.sched_getaffinity(0)) < CPUS


@pytest.fixture
def load(tmp_path):
    """Starts a load of stress-ng."""
    started = []

    def start(*options):
        where = ["--temp-path", str(tmp_path), "--timeout", f"{2 * PATIENCE_SECONDS}s"]
        process = subprocess.Popen(
            ["nice", "-n", "19", STRESS, *options, *where],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def sampler():
    sampler = Sampler(Host())
    sampler.sample()
    yield sampler
    sampler.close()


class Waited(NamedTuple):
    """Seconds in which some task waited for a disk since boot, at a moment."""

    moment: float
    stalled: float

    @classmethod
    def now(cls):
        text = PRESSURE.read_text() if PRESSURE.exists() else "total=0"
        return cls(time.monotonic(), int(text.split("total=")[1].split()[0]) / 1e6)


def verdicts(sampler, patience=PATIENCE_SECONDS):
    """Verdict and document of each second until patience ends, and what was waited around them."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(1)
        began = Waited.now()
        data = sampler.sample().data
        ended = Waited.now()
        passed = verdict(lambda path, data=data: lookup(data, path), data["perf_events"]["reason"])
        yield passed, data, began, ended


def passed_at_last(sampler, *titles):
    """The first verdict that is one of these, or comes before the first of them."""
    accepted = {*titles, *TITLES[: TITLES.index(titles[0])]} - {"Idle"}
    others = set()
    for passed, data, *_ in verdicts(sampler):
        if passed.title in accepted:
            return passed, data
        others.add(passed.title)
    pytest.fail(f"Only {others} in {PATIENCE_SECONDS} s; wanted is {titles[0]}.")


@pytest.mark.skipif(is_bounded(), reason="this process may not use all CPUs")
def test_more_tasks_than_cpus_are_short_of_cpus(load, sampler):
    load("--cpu", str(4 * CPUS), "--cpu-method", "int64")
    passed, _ = passed_at_last(sampler, "Short of CPUs")
    assert passed.evidence


@pytest.mark.parametrize(
    ("options", "with_counters"),
    [
        (("--cpu", "1", "--cpu-method", "int64"), ("Computing", "Waiting for memory")),
        (("--stream", "1"), ("Waiting for memory", "Computing")),
    ],
)
def test_what_a_busy_cpu_does_is_told_where_instructions_are_counted(
    load, sampler, options, with_counters
):
    if CPUS > 8 or is_bounded():
        pytest.skip("one task is less than a tenth of this machine")
    load(*options)
    before = sampler.sample().data["perf_events"]
    counted = "instructions" not in before["events"] and before["available"]
    passed, data = passed_at_last(sampler, *(with_counters if counted else ("Busy",)))
    assert "cpu.usage_percent" in {one.field for one in passed.evidence}
    if lookup(data, IPC) is None:
        assert passed.caveat.startswith("Without instructions per cycle: ")


@pytest.mark.skipif(not PRESSURE.exists(), reason="this kernel has no PSI")
def test_tasks_that_wait_for_a_disk(load, sampler):
    load("--hdd", "4", "--hdd-bytes", "64m", "--hdd-opts", "dsync,wr-rnd", "--hdd-write-size", "4k")
    before = None
    for passed, data, began, ended in verdicts(sampler, patience=20):
        # The sampler's second lies within the outer of these and around the inner ones.
        if before and data["cpu"]["usage_percent"] < 80:
            stalled, elapsed = began.stalled - before[1].stalled, ended.moment - before[0].moment
            if stalled / elapsed > 0.3:
                assert data["pressure"]["io"]["some_stall_percent"] > 25
                assert passed.title in TITLES[: TITLES.index("Waiting for disks") + 1]
                return
        before = began, ended
    pytest.skip("this disk lets nobody wait, or the CPUs are too busy")
