"""Our own readings beside psutil's, on this host at the same moment."""

import time

import psutil
import pytest

from metrics.collectors import COLLECTORS
from metrics.kernel import procfs
from metrics.kernel.host import Host
from metrics.sampling import Sampler

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def data():
    sampler = Sampler(Host(), COLLECTORS)
    document = sampler.sample().data
    sampler.close()
    return document


def test_memory_agrees(data):
    theirs, ours = psutil.virtual_memory(), data["memory"]
    assert ours["total_bytes"] == theirs.total
    for name, value in {
        "available_bytes": theirs.available,
        "free_bytes": theirs.free,
        "cached_bytes": theirs.cached,
        "buffers_bytes": theirs.buffers,
        "shared_bytes": theirs.shared,
        "slab_bytes": theirs.slab,
    }.items():
        assert ours[name] == pytest.approx(value, rel=0.05, abs=64 * MIB), name
    assert ours["percent"] == pytest.approx(theirs.percent, abs=2)


def test_swap_agrees(data):
    theirs, ours = psutil.swap_memory(), data["memory"]
    assert ours["swap_total_bytes"] == theirs.total
    assert ours["swap_used_bytes"] == pytest.approx(theirs.used, abs=16 * MIB)
    assert ours["swap_percent"] == pytest.approx(theirs.percent, abs=2)


def test_cpu_agrees(data):
    assert data["cpu"]["core_count"] == psutil.cpu_count()
    assert len(data["cpu"]["per_core"]) >= psutil.cpu_count()
    assert data["cpu"]["load_avg_15m"] == pytest.approx(psutil.getloadavg()[2], abs=0.5)
    if theirs := psutil.cpu_freq():
        assert data["cpu"]["frequency_mhz"] == pytest.approx(theirs.current, rel=0.5)


def test_cpu_times_agree():
    ticks = procfs.stat(Host())().total
    theirs = psutil.cpu_times()
    assert ticks[0] / 100 == pytest.approx(theirs.user, abs=2)
    assert ticks[3] / 100 == pytest.approx(theirs.idle, abs=2)


def test_interfaces_agree(data):
    theirs = psutil.net_io_counters(pernic=True)
    assert data["network"]["interfaces"].keys() == theirs.keys()
    for name, ours in data["network"]["interfaces"].items():
        assert ours["bytes_recv"] == pytest.approx(theirs[name].bytes_recv, rel=0.1, abs=5 * MIB)
        assert ours["bytes_sent"] == pytest.approx(theirs[name].bytes_sent, rel=0.1, abs=5 * MIB)


def test_links_agree(data):
    theirs = psutil.net_if_stats()
    for name, ours in data["network"]["interfaces"].items():
        assert ours["is_up"] == theirs[name].isup
        assert (ours["speed_mbps"] or 0) == (
            theirs[name].speed if theirs[name].speed < 65535 else 0
        )


def test_disks_agree(data):
    theirs = psutil.disk_io_counters(perdisk=True) or {}
    whole = [theirs[name] for name in data["disk"]["devices"] if not name.startswith(("dm-", "md"))]
    for name in ("read_count", "write_count", "read_bytes", "write_bytes"):
        expected = sum(getattr(counters, name) for counters in whole)
        assert data["disk"][name] == pytest.approx(expected, rel=0.1, abs=20 * MIB), name


def test_filesystems_agree(data):
    for point, ours in data["disk"]["partitions"].items():
        theirs = psutil.disk_usage(point)
        assert ours["total_bytes"] == theirs.total
        assert ours["used_bytes"] == pytest.approx(theirs.used, rel=0.05, abs=64 * MIB)
        assert ours["free_bytes"] == pytest.approx(theirs.free, rel=0.05, abs=64 * MIB)
        assert ours["percent"] == pytest.approx(theirs.percent, abs=1)


def test_uptime_agrees(data):
    assert data["host"]["uptime_seconds"] == pytest.approx(time.time() - psutil.boot_time(), abs=10)
