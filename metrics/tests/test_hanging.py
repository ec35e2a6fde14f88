"""What hangs costs only its own values: a sensor, a dead network mount."""

import os
import threading
import time

import pytest

from metrics.kernel import filesystems
from metrics.sampling import Sampler
from metrics.tests.fake_host import make_host, write

SOON_MS = 100


@pytest.fixture
def sampler_of():
    """Samplers that hold nothing back when the test ends."""
    samplers = []

    def make(host):
        samplers.append(Sampler(host))
        return samplers[-1]

    yield make
    for sampler in samplers:
        sampler.close()


@pytest.fixture
def dead_server(monkeypatch):
    """statvfs of every path with "nas" in it waits for ever, as that of a dead NFS server does."""
    release = threading.Event()
    real = os.statvfs

    def statvfs(path):
        if "nas" in str(path):
            release.wait(30)
            raise TimeoutError
        return real(path)

    monkeypatch.setattr(filesystems.os, "statvfs", statvfs)
    yield
    release.set()


def later_samples(sampler, count=5):
    """The last of some documents, and the longest that one took, the first left out."""
    sampler.sample()
    longest = 0.0
    for _ in range(count):
        started = time.monotonic()
        data = sampler.sample().data
        longest = max(longest, (time.monotonic() - started) * 1000)
    return data, longest


def test_a_sensor_that_hangs_costs_only_the_temperature(tmp_path, sampler_of):
    host = make_host(tmp_path)
    write(tmp_path / "sys", "class/hwmon/hwmon0/name", "coretemp\n")
    fifo = tmp_path / "sys/class/hwmon/hwmon0/temp1_input"
    os.mkfifo(fifo)  # opening it waits until somebody writes
    started = time.monotonic()
    sampler = sampler_of(host)
    data, longest = later_samples(sampler)
    assert time.monotonic() - started < 2
    assert longest < SOON_MS
    assert data["sampler"]["status"]["cpu"] == "ok"
    assert data["cpu"]["temperature_celsius"] is None
    assert data["cpu"]["frequency_mhz"] == 2500
    writer = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.write(writer, b"51000\n")
    os.close(writer)


def test_a_frequency_that_hangs_costs_only_the_frequency(tmp_path, sampler_of):
    host = make_host(tmp_path)
    write(tmp_path / "sys", "class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
    write(tmp_path / "sys", "class/thermal/thermal_zone0/temp", "40000\n")
    fifo = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)
    data, longest = later_samples(sampler_of(host))
    assert longest < SOON_MS
    assert (data["cpu"]["frequency_mhz"], data["cpu"]["temperature_celsius"]) == (None, 40)
    os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))


def test_a_link_that_hangs_costs_only_the_state_of_links(tmp_path, sampler_of):
    host = make_host(tmp_path)
    fifo = tmp_path / "sys/class/net/eth0/speed"
    fifo.unlink()
    os.mkfifo(fifo)
    data, longest = later_samples(sampler_of(host))
    assert longest < SOON_MS
    assert data["network"]["interfaces"]["eth0"]["is_up"] is None
    assert data["network"]["interfaces"]["eth0"]["bytes_recv_per_sec"] == 0
    os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.parametrize(
    "mount",
    [
        "60 0 0:60 / /mnt/nas rw - nfs4 server:/export rw\n",
        "60 0 8:9 / /mnt/nas rw - fuseblk /dev/sdz1 rw\n",
        "60 0 0:60 / /mnt rw - nfs4 server:/ rw\n61 60 8:9 / /mnt/nas rw - ext4 /dev/sdz1 rw\n",
    ],
    ids=["network", "fuse", "local below network"],
)
def test_a_mount_that_hangs_costs_only_its_own_numbers(tmp_path, sampler_of, dead_server, mount):
    root = "27 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    data, longest = later_samples(sampler_of(make_host(tmp_path, **{"1_mountinfo": root + mount})))
    assert longest < SOON_MS
    assert data["disk"]["partitions"]["/"]["percent"] is not None
    assert data["disk"]["partitions"]["/mnt/nas"]["percent"] is None
    assert data["sampler"]["status"]["disk"] == "ok"


def test_a_mount_that_comes_back_has_numbers_again(tmp_path, sampler_of, monkeypatch):
    answered = threading.Event()
    real = os.statvfs

    def statvfs(path):
        if "nas" in str(path):
            answered.wait(30)
            return real(tmp_path)
        return real(path)

    monkeypatch.setattr(filesystems.os, "statvfs", statvfs)
    text = "60 0 0:60 / /mnt/nas rw - nfs4 server:/export rw\n"
    sampler = sampler_of(make_host(tmp_path, **{"1_mountinfo": text}))
    assert sampler.sample().data["disk"]["partitions"]["/mnt/nas"]["total_bytes"] is None
    answered.set()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if sampler.sample().data["disk"]["partitions"]["/mnt/nas"]["total_bytes"]:
            return
    pytest.fail("it did not come back")
