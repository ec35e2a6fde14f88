"""perf_event_open on this machine, beside the kernel's other counters."""

import errno
import json
import operator
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metrics.collectors import COLLECTORS
from metrics.collectors.base import Occasion
from metrics.kernel.host import Host
from metrics.sampling import Sampler
from metrics.tests.fake_perf import open_descriptors
from metrics.tests.permissions import forbid

ROOT = Path(__file__).parents[2]
(PERF,) = (collector for collector in COLLECTORS if collector.name == "perf_events")


def kernel_counts():
    stat, vmstat = Path("/proc/stat").read_text(), Path("/proc/vmstat").read_text()
    switches = int(re.search(r"^ctxt (\d+)", stat, re.M)[1])
    return switches, int(re.search(r"^pgfault (\d+)", vmstat, re.M)[1])


def load(seconds):
    """Page faults and context switches, by processes that start and end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (child := os.fork()) == 0:
            bytearray(4_000_000)
            os._exit(0)
        os.waitpid(child, 0)


@pytest.fixture
def read():
    reader = PERF.open(Host(), Occasion())
    if not PERF.document(reader(), None, None)["available"]:
        pytest.skip("this user may not count the whole machine")
    return reader


def test_software_events_agree_with_the_kernels_own_counters(read):
    started = kernel_counts()
    before = read()
    load(1.0)
    after = read()
    switches, faults = map(operator.sub, kernel_counts(), started)
    section = PERF.document(after, before, 1.0)
    assert section["running_percent"] == 100
    assert section["context_switches"] == pytest.approx(switches, rel=0.05, abs=100)
    assert section["page_faults"] == pytest.approx(faults, rel=0.05, abs=100)
    # One read, but the machine goes on counting while the kernel adds up.
    parts = section["minor_faults"] + section["major_faults"]
    assert section["page_faults"] == pytest.approx(parts, abs=100)


def in_a_child(prepare):
    """Take two samples in a process that `prepare` has changed; return the second document."""
    here, there = os.pipe()
    if (child := os.fork()) == 0:
        try:
            prepare()
            sampler = Sampler(Host())
            sampler.sample()
            with os.fdopen(there, "w") as pipe:
                json.dump(sampler.sample().data, pipe)
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_nobody_counts_as_far_as_the_kernel_permits(read):
    section = in_a_child(lambda: os.setresuid(65534, 65534, 65534))["perf_events"]
    paranoid = int(Path("/proc/sys/kernel/perf_event_paranoid").read_text())
    if paranoid <= 0:
        assert section["context_switches"] is not None
    else:
        assert section["available"] is False
        assert section["events"]["context_switches"] == "not permitted"
        assert f"kernel.perf_event_paranoid to 0 (it is {paranoid};" in section["reason"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_a_seccomp_filter_is_named_and_costs_nothing_else(number):
    data = in_a_child(lambda: forbid(number))
    assert {name: one for name, one in data["sampler"]["status"].items() if one != "ok"} == {}
    section = data["perf_events"]
    assert section["available"] is False
    assert section["reason"].startswith("A seccomp filter forbids perf_event_open")
    assert set(section["events"].values()) == {"forbidden"}


@pytest.mark.parametrize("limits", [(64, 64), (64, 1024), (36, 36), (30, 30)])
def test_with_few_descriptors_nothing_else_is_missing(read, limits):
    done = subprocess.run(
        [sys.executable, "manage.py", "sample"],
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
        capture_output=True,
        text=True,
        check=True,
    )
    data = json.loads(done.stdout)
    assert {name: one for name, one in data["sampler"]["status"].items() if one != "ok"} == {}
    section = data["perf_events"]
    assert section["available"] or "ulimit -n" in section["reason"]


def test_dropping_the_reader_closes_everything():
    before = open_descriptors()
    reader = PERF.open(Host(), Occasion())
    reader()
    assert open_descriptors() > before
    del reader
    assert open_descriptors() == before
