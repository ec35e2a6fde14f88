"""perf_event_open on this machine, beside the kernel's other counters."""

import operator
import os
import re
import time
from pathlib import Path

import pytest

from metrics.collectors import COLLECTORS
from metrics.collectors.base import Occasion
from metrics.kernel.host import Host
from metrics.tests.fake_perf import open_descriptors

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


def test_dropping_the_reader_closes_everything():
    before = open_descriptors()
    reader = PERF.open(Host(), Occasion())
    reader()
    assert open_descriptors() > before
    del reader
    assert open_descriptors() == before
