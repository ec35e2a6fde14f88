import io
import os
import tarfile
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from metrics.collectors import COLLECTORS
from metrics.kernel import anonymous, processes, recording
from metrics.kernel.host import Host
from metrics.kernel.recording import record
from metrics.sampling import Sampler
from metrics.tests.fake_host import make_host, net_dev, process, write

SECRETS = ("bluebell", "0123456789abcdef", "bc23f3dd", "secret", "10.1.2.3", "001122aabbcc")


def unpack(content, folder):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return Host(*(str(folder / name) for name in ("proc", "sys", "root")))


def sample_of(host):
    sampler = Sampler(host)
    sampler.sample()
    data = sampler.sample().data
    sampler.close()
    return data


@pytest.fixture
def host(tmp_path):
    """A host with much to hide."""
    made = make_host(
        tmp_path,
        **{
            "1_net_dev": net_dev(lo=(50, 50), eth0=(1000, 500), enx001122aabbcc=(1, 2)),
            "1_cmdline": "mysql --password=secret",
            "1_environ": "TOKEN=secret",
            "1_mountinfo": "27 1 254:0 / / rw - ext4 /dev/mapper/bluebell--vg-root rw\n"
            "28 1 0:60 /secret /srv/bluebell rw - nfs4 10.1.2.3:/secret rw,addr=10.1.2.3\n"
            r"29 1 8:3 / /mnt/my\040disk ro - vfat /dev/sdb1 rw" + "\n"
            "30 1 0:61 / /smb rw - cifs //bluebell/secret rw,username=secret\n"
            "31 1 0:62 / /data/10.1.2.3 rw - fuse.sshfs me@secret:/home rw\n",
            "cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2400.0\n\nSerial\t\t: secret\n",
        },
    )
    write(tmp_path / "sys", "class/net/enx001122aabbcc/flags", "0x1003")
    write(tmp_path / "sys", "class/net/enx001122aabbcc/address", "00:11:22:aa:bb:cc")
    card = tmp_path / "sys/devices/pci0/secret-001122aabbcc"
    card.mkdir(parents=True)
    (tmp_path / "sys/class/net/enx001122aabbcc/device").symlink_to(card)
    return made


@pytest.fixture
def replayed(host, tmp_path):
    return unpack(record(host), tmp_path / "unpacked")


def test_all_collectors_run_on_what_was_recorded_of_this_host(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LONGEST_TURN_SECONDS", 60.0)
    here = Host()
    live = sample_of(here)
    content = record(here)
    again = sample_of(unpack(content, tmp_path))
    assert again["sampler"]["status"] == live["sampler"]["status"]
    assert again["memory"]["total_bytes"] == live["memory"]["total_bytes"]
    assert len(again["cpu"]["per_core"]) == len(live["cpu"]["per_core"])
    assert again["network"]["interfaces"].keys() == live["network"]["interfaces"].keys()
    assert again["disk"]["devices"].keys() == live["disk"]["devices"].keys()
    assert again["disk"]["partitions"].keys() == live["disk"]["partitions"].keys()
    assert again["processes"]["top_memory"].keys() == live["processes"]["top_memory"].keys()
    assert len(content) < 1_000_000


def test_a_recording_says_what_the_host_said(host, replayed):
    live, again = sample_of(host), sample_of(replayed)
    assert set(again["sampler"]["status"].values()) == {"ok"}
    for name in ("cpu", "memory", "memory_bandwidth", "pressure"):
        assert again[name] == live[name]
    assert again["network"]["bytes_recv"] == live["network"]["bytes_recv"] == 1001
    assert again["disk"]["read_bytes"] == live["disk"]["read_bytes"]
    assert list(again["disk"]["partitions"]) == [
        "/", "/data/0.0.0.0", "/mnt/my disk", "/smb", "/srv/host",
    ]  # fmt: skip
    assert again["disk"]["partitions"]["/mnt/my disk"]["read_only"] is True


def test_nothing_says_whose_host_it_is(host, replayed, tmp_path):
    found = [path for path in (tmp_path / "unpacked").rglob("*") if path.is_file()]
    assert found
    for path in (tmp_path / "unpacked").rglob("*"):
        text = str(path.relative_to(tmp_path))
        text += str(path.readlink()) if path.is_symlink() else ""
        text += path.read_text() if path.is_file() else ""
        assert [secret for secret in SECRETS if secret in text] == []


def test_only_what_is_named_is_recorded_of_this_host(tmp_path):
    unpack(record(Host()), tmp_path)
    names = {path.name for path in tmp_path.rglob("*")}
    assert names.isdisjoint({"cmdline", "environ", "machine-id", "passwd", "address", "uuid"})
    name = Path("/proc/sys/kernel/hostname").read_text()
    assert (tmp_path / "proc/sys/kernel/hostname").read_text() == "host\n" != name


def test_a_link_to_a_device_stays_a_link_to_a_folder(replayed):
    device = Path(replayed.sys("class/net/enx000000000001/device"))
    assert device.is_symlink()
    assert device.is_dir()
    interfaces = sample_of(replayed)["network"]["interfaces"]
    assert interfaces["enx000000000001"]["bytes_recv"] == 1


def test_the_size_is_bounded(host, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "MOST_PROCESSES", 3)
    monkeypatch.setattr(recording, "MOST_BYTES_OF_A_FILE", 2000)
    monkeypatch.setattr(recording, "MOST_BYTES", 20_000)
    for pid in range(2, 10):
        write(tmp_path / "proc", f"{pid}/stat", process(pid))
    write(tmp_path / "proc", "vmstat", "x" * 100_000)
    unpacked = unpack(record(host), tmp_path / "unpacked")
    assert Path(unpacked.proc("vmstat")).stat().st_size == 2000
    assert len(list(Path(unpacked.procfs).glob("[0-9]*"))) == 3


def test_a_sensor_that_hangs_is_left_out(host, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "PATIENCE_SECONDS", 0.05)
    fifo = tmp_path / "sys/class/hwmon/hwmon0/temp1_input"
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)
    unpacked = unpack(record(host), tmp_path / "unpacked")
    os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
    assert not Path(unpacked.sys("class/hwmon")).exists()


def test_a_hosts_name_goes_only_where_it_is_a_word():
    assert anonymous.without_names("/dev/vm--vg/kvm", "vm") == "/dev/host--vg/kvm"
    assert anonymous.without_names("/srv/a.example.org/a", "a.example.org") == "/srv/host/host"
    assert anonymous.without_names("/x", "") == "/x"


def test_the_command_writes_the_archive_and_prints_nothing(host, tmp_path, settings):
    settings.PERFWATCH_PROCFS, settings.PERFWATCH_SYSFS = host.procfs, host.sysfs
    settings.PERFWATCH_ROOTFS = host.rootfs
    out = io.StringIO()
    call_command("sample", "--record", str(tmp_path / "bug.tar.gz"), stdout=out)
    assert out.getvalue() == ""
    unpacked = unpack((tmp_path / "bug.tar.gz").read_bytes(), tmp_path / "unpacked")
    assert sample_of(unpacked)["sampler"]["status"].keys() == {c.name for c in COLLECTORS}


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(CommandError, match="--record") as caught:
        call_command("sample", "--record", str(tmp_path / "nowhere" / "x"))
    assert "\n" not in str(caught.value)
