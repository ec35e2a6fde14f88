import io
import json
import tarfile

import pytest

from metrics.collectors import FIELDS, devices, lookup
from metrics.collectors.fields import Kind
from metrics.kernel.cpus import format_cpus
from metrics.kernel.host import Host
from metrics.kernel.recording import record
from metrics.sampling import Sampler
from metrics.tests import other_machines
from metrics.tests.fake_host import net_dev, write
from metrics.tests.fake_perf import FakePerf
from metrics.tests.other_machines import (
    CARDS,
    CPUS,
    DISKS,
    STRANGE_CARDS,
    STRANGE_POINTS,
    card_names,
    large_machine,
    pass_by,
)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Samples of a large machine: the first is taken; `machine(file=text)` gives the next."""
    FakePerf(monkeypatch)
    sampler = Sampler(large_machine(tmp_path))
    sampler.sample()

    def after(**files):
        pass_by(tmp_path, **files)
        return sampler.sample(interval=5).data

    yield after
    sampler.close()


def rates_of(section):
    return {name: value for name, value in section.items() if name.endswith("_per_sec")}


def test_every_collector_runs_on_a_large_machine(machine):
    data = machine()
    assert set(data["sampler"]["status"].values()) == {"ok"}
    assert data["cpu"]["per_core"] == [round(100 * n / 256, 2) for n in range(CPUS)]
    assert len(data["network"]["interfaces"]) == CARDS
    assert len(data["disk"]["devices"]) == DISKS
    assert data["cpu"]["frequency_mhz"] == 2000.1
    assert data["perf_events"]["cpus"] == f"0-{CPUS - 1}"
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_every_number_of_a_large_machine_is_there_and_in_its_bounds(machine):
    data = machine()
    for field in FIELDS:
        for name in devices(data, field) or ([""] if "*" not in field.path else []):
            value = lookup(data, field.path.replace("*", name))
            if isinstance(value, (int, float)) and field.kind is not Kind.STATE:
                assert value >= 0, (field.path, name)
                assert field.unit != "%" or value <= 100, (field.path, name)


def test_names_of_all_kinds_are_found_again_by_the_names_of_their_series(machine):
    data = machine()
    for name in STRANGE_CARDS:
        assert lookup(data, f"network.interfaces.{name}.bytes_recv_per_sec") > 0
    for point in STRANGE_POINTS.values():
        assert lookup(data, f"disk.partitions.{point}.percent") is not None


def test_disks_that_vanish_and_appear_leave_the_others_alone(machine):
    data = machine(diskstats=other_machines.disks(2, other_machines.disk_names(first=1)))
    # nvme40n1 is new in /proc, and in /sys not at all: its numbers wait until it is known there.
    assert "nvme0n1" not in data["disk"]["devices"]
    assert data["disk"]["devices"]["nvme1n1"]["read_iops"] > 0
    assert data["disk"]["read_iops"] > 0


def test_an_interface_that_vanishes_and_one_that_appears_have_no_rates(machine):
    names = [*other_machines.card_names()[:-1], "veth1"]
    interfaces = machine(**{"1_net_dev": other_machines.cards(2, names)})["network"]["interfaces"]
    assert "br-1" not in interfaces
    assert set(rates_of(interfaces["veth1"]).values()) == {None}
    assert interfaces["eth1"]["bytes_recv_per_sec"] > 0


@pytest.mark.parametrize("before", [2**32 - 10, 2**64 - 10], ids=["32 bits", "64 bits"])
def test_a_counter_that_wraps_makes_one_interfaces_rates_unknown(machine, before):
    machine(**{"1_net_dev": net_dev(eth0=(before, before), eth1=(100, 100))})
    network = machine(**{"1_net_dev": net_dev(eth0=(5, 5), eth1=(300, 300))})["network"]
    assert set(rates_of(network["interfaces"]["eth0"]).values()) == {None}
    assert network["interfaces"]["eth1"]["bytes_recv_per_sec"] > 0
    assert network["bytes_recv_per_sec"] > 0


def test_counters_that_reset_make_rates_unknown_and_never_negative(machine):
    data = machine(
        stat=other_machines.stat(0),
        vmstat="pgpgin 1\npgfault 2\n",
        diskstats=other_machines.disks(0, other_machines.disk_names()),
        **{"1_net_dev": other_machines.cards(0, other_machines.card_names())},
    )
    assert data["cpu"]["context_switches_per_sec"] is None
    assert data["cpu"]["usage_percent"] is None
    assert data["memory_bandwidth"]["pgfault_per_sec"] is None
    assert data["disk"]["read_bytes_per_sec"] is None
    assert data["network"]["bytes_recv_per_sec"] is None


def test_cpus_that_go_offline_are_null(machine):
    cores = machine(stat=other_machines.stat(2, cpus=range(0, CPUS, 2)))["cpu"]["per_core"]
    assert len(cores) == CPUS
    assert cores[3] is None
    assert cores[128] == 50


def test_what_vanishes_and_comes_back_has_values_again_from_its_second_sample_on(machine, tmp_path):
    def moment(step, without=()):
        cpus = [n for n in range(CPUS) if n not in without]
        write(tmp_path / "sys", "devices/system/cpu/online", format_cpus(cpus) + "\n")
        return machine(
            stat=other_machines.stat(step, cpus=cpus),
            diskstats=other_machines.disks(step, other_machines.disk_names()[len(without) :]),
            **{"1_net_dev": other_machines.cards(step, card_names()[: CARDS - len(without)])},
        )

    def unknown(data):
        disk = data["disk"]["devices"].get("nvme0n1", {}).get("read_iops")
        card = data["network"]["interfaces"].get("br-1", {}).get("bytes_recv_per_sec")
        return [value is None for value in (data["cpu"]["per_core"][3], disk, card)]

    gone = moment(2, without=[3])
    assert unknown(gone) == [True] * 3
    assert (gone["perf_events"]["cpus"], gone["cpu"]["core_count"]) == ("0-2,4-255", CPUS - 1)
    back, after = moment(3), moment(4)
    assert (unknown(back), unknown(after)) == ([True] * 3, [False] * 3)
    for data in (gone, back, after):
        assert data["cpu"]["usage_percent"] == pytest.approx(49.8, abs=0.3)
        assert data["disk"]["read_iops"] > 0 and data["network"]["bytes_recv_per_sec"] > 0
        assert data["perf_events"]["available"]
        assert set(data["sampler"]["status"].values()) == {"ok"}


def test_a_recording_of_a_large_machine_replays(tmp_path, monkeypatch):
    FakePerf(monkeypatch)
    content = record(large_machine(tmp_path / "machine"))
    assert len(content) < 300_000
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(tmp_path / "again", filter="data")
    sampler = Sampler(Host(*(str(tmp_path / "again" / n) for n in ("proc", "sys", "root"))))
    data = sampler.sample().data
    sampler.close()
    assert set(data["sampler"]["status"].values()) == {"ok"}
    assert (len(data["cpu"]["per_core"]), len(data["disk"]["devices"])) == (CPUS, DISKS)
    assert set(STRANGE_CARDS) <= data["network"]["interfaces"].keys()
    assert set(STRANGE_POINTS.values()) <= data["disk"]["partitions"].keys()
