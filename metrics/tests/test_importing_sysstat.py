"""Samples of sysstat: the mapping, archives made on the spot, other versions, damage."""

import bz2
import gzip
import lzma
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metrics.collectors import lookup
from metrics.importing import sadf
from metrics.importing.base import BadInput, Ready
from metrics.importing.sysstat import SysstatFile
from metrics.tests.archives import LATER, items, printed, record, sadc_is_missing, said
from perfwatch_site.tests.servers import missing

KIB = 1024
PSI = [("10", "avg10"), ("60", "avg60"), ("300", "avg300"), ("", "stall_percent")]

# What sar calls it, in the table of its option, and what it is multiplied by to be our field.
COLUMNS = {
    "-w": {"proc/s": "cpu.forks_per_sec", "cswch/s": "cpu.context_switches_per_sec"},
    "-q LOAD": {
        "runq-sz": "cpu.procs_running",
        "blocked": "cpu.procs_blocked",
        "ldavg-1": "cpu.load_avg_1m",
        "ldavg-5": "cpu.load_avg_5m",
        "ldavg-15": "cpu.load_avg_15m",
    },
    "-q CPU": {f"%scpu{'-' * bool(n)}{n}": f"pressure.cpu.some_{ours}" for n, ours in PSI},
    "-q MEM": {
        f"%{line[0]}mem{'-' * bool(n)}{n}": f"pressure.memory.{line}_{ours}"
        for n, ours in PSI
        for line in ("some", "full")
    },
    "-q IO": {
        f"%{line[0]}io{'-' * bool(n)}{n}": f"pressure.io.{line}_{ours}"
        for n, ours in PSI
        for line in ("some", "full")
    },
    "-r ALL": {
        "kbmemfree": ("memory.free_bytes", KIB),
        "kbavail": ("memory.available_bytes", KIB),
        "kbbuffers": ("memory.buffers_bytes", KIB),
        "kbcached": ("memory.cached_bytes", KIB),
        "kbcommit": ("memory.committed_bytes", KIB),
        "kbdirty": ("memory.dirty_bytes", KIB),
        "kbanonpg": ("memory.anon_bytes", KIB),
        "kbslab": ("memory.slab_bytes", KIB),
        "kbpgtbl": ("memory.page_tables_bytes", KIB),
    },
    "-S": {"kbswpused": ("memory.swap_used_bytes", KIB), "%swpused": "memory.swap_percent"},
    "-W": {
        "pswpin/s": "memory_bandwidth.pswpin_per_sec",
        "pswpout/s": "memory_bandwidth.pswpout_per_sec",
    },
    "-B": {
        "pgpgin/s": "memory_bandwidth.pgpgin_per_sec",
        "pgpgout/s": "memory_bandwidth.pgpgout_per_sec",
        "fault/s": "memory_bandwidth.pgfault_per_sec",
        "majflt/s": "memory_bandwidth.pgmajfault_per_sec",
        "pgscand/s": "memory_bandwidth.pgscan_direct_per_sec",
    },
    "-b": {
        "rtps": "disk.read_iops",
        "wtps": "disk.write_iops",
        "bread/s": ("disk.read_bytes_per_sec", 512),
        "bwrtn/s": ("disk.write_bytes_per_sec", 512),
    },
    "-d": {
        "rkB/s": ("disk.devices.{}.read_bytes_per_sec", KIB),
        "wkB/s": ("disk.devices.{}.write_bytes_per_sec", KIB),
        "aqu-sz": "disk.devices.{}.queue_length",
        "%util": "disk.devices.{}.util_percent",
    },
    "-n DEV": {
        "rxpck/s": "network.interfaces.{}.packets_recv_per_sec",
        "txpck/s": "network.interfaces.{}.packets_sent_per_sec",
        "rxkB/s": ("network.interfaces.{}.bytes_recv_per_sec", KIB),
        "txkB/s": ("network.interfaces.{}.bytes_sent_per_sec", KIB),
    },
    "-n EDEV": {
        "rxerr/s": "network.interfaces.{}.errors_recv_per_sec",
        "txerr/s": "network.interfaces.{}.errors_sent_per_sec",
        "rxdrop/s": "network.interfaces.{}.drops_recv_per_sec",
        "txdrop/s": "network.interfaces.{}.drops_sent_per_sec",
    },
    "-n SOCK": {"totsck": "network.sockets_used", "tcp-tw": "network.tcp.time_wait"},
    "-n ETCP": {
        "estres/s": "network.tcp.resets_per_sec",
        "retrans/s": "network.tcp.retransmits_per_sec",
    },
    "-F MOUNT": {
        "MBfsused": ("disk.partitions.{}.used_bytes", KIB * KIB),
        "%Iused": "disk.partitions.{}.inodes_percent",
    },
    "-I SUM": {"CPU*": "cpu.interrupts_per_sec"},
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An archive made on the spot, under load."""
    if sadc_is_missing():
        missing("no sysstat (Debian: sysstat)")
    path = tmp_path_factory.mktemp("sysstat") / "sa01"
    record(path)
    return path


def table(archive, options):
    """Sar's own rows for an option: dicts by the names of its columns."""
    command = ["sadf", "-d", str(archive), "--", *options.split()]
    environment = os.environ | {"LC_ALL": "C"}
    lines = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout.splitlines()
    names = lines[0].removeprefix("# ").split(";")
    return [dict(zip(names, line.split(";"), strict=True)) for line in lines[1:]]


def moment(row):
    return datetime.strptime(row["timestamp"], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)


@pytest.mark.parametrize("options", sorted(COLUMNS))
def test_every_mapped_field_is_the_number_that_sar_shows(archive, options):
    rows = {row.timestamp: row.document for row in items(archive)}
    expected = table(archive, options)
    assert {moment(row) for row in expected} == set(rows)
    for row in expected:
        device = list(row.values())[3]
        for column, ours in COLUMNS[options].items():
            name, factor = ours if isinstance(ours, tuple) else (ours, 1)
            value = lookup(rows[moment(row)], name.format(device))
            assert value == pytest.approx(float(row[column]) * factor, abs=0.005 * factor), name


def test_the_modes_of_the_cpus_are_the_numbers_that_sar_shows(archive):
    rows = {row.timestamp: row.document["cpu"] for row in items(archive)}
    seen = set()
    for row in table(archive, "-u ALL -P ALL"):
        cpu = rows[moment(row)]
        percent = {name: float(text) for name, text in row.items() if name.startswith("%")}
        seen.add(row["CPU"])
        if row["CPU"] != "-1":
            usage = 100 - percent["%idle"] - percent["%iowait"]
            assert cpu["per_core"][int(row["CPU"])] == pytest.approx(usage, abs=0.011)
            continue
        assert cpu["user_percent"] == pytest.approx(percent["%usr"] + percent["%guest"], abs=0.011)
        assert cpu["nice_percent"] == pytest.approx(percent["%nice"] + percent["%gnice"], abs=0.011)
        for ours, sars in (
            ("system", "sys"),
            ("iowait", "iowait"),
            ("steal", "steal"),
            ("irq", "irq"),
            ("softirq", "soft"),
            ("idle", "idle"),
        ):
            assert cpu[f"{ours}_percent"] == percent[f"%{sars}"]
    assert len(seen) == 1 + os.cpu_count()


def test_the_load_of_the_test_shows(archive):
    busy = [row.document["cpu"]["usage_percent"] for row in items(archive)]
    assert max(busy) > 10
    assert all(row.document["disk"]["write_bytes_per_sec"] is not None for row in items(archive))


def test_memory_adds_up_to_what_the_kernel_has(archive):
    total = int(Path("/proc/meminfo").read_text().split()[1]) * KIB
    memory = items(archive)[0].document["memory"]
    assert memory["total_bytes"] == total
    assert memory["used_bytes"] == total - memory["available_bytes"]


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_compressed_archives_are_read(archive, tmp_path, module):
    path = tmp_path / "sa01.compressed"
    path.write_bytes(module.compress(archive.read_bytes()))
    assert items(path) == items(archive)


def test_what_sadf_printed_is_read_without_sadf(archive, tmp_path, monkeypatch):
    path = tmp_path / "sa.json"
    command = ["sadf", "-j", str(archive), "--", "-A", "-F", "MOUNT"]
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    there = items(archive)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert items(path) == there
    [bad] = items(archive)
    assert "apt install sysstat" in str(bad)


def test_archives_that_are_cut_off_give_what_is_whole(archive, tmp_path):
    path = tmp_path / "sa01"
    content = archive.read_bytes()
    for share in (0.01, 0.5, 0.95):
        path.write_bytes(content[: int(len(content) * share)])
        *rows, bad = items(path)
        assert all(isinstance(row, Ready) for row in rows)
        assert len(rows) < 4
        assert isinstance(bad, BadInput)
        assert "sa01" in str(bad)


def one(tmp_path, *samples, **more):
    path = tmp_path / "sa.json"
    path.write_text(printed(*samples, **more))
    return items(path)


def test_older_versions_name_and_count_some_things_otherwise(tmp_path):
    [row] = one(
        tmp_path,
        said(
            **{
                "cpu-load-all": [
                    {"cpu": "all", "user": 10.0, "nice": 1, "system": 5.5, "iowait": 2.5}
                    | {"steal": 0.0, "idle": 81.0},
                    {"cpu": "0", "iowait": 0.0, "idle": 0.0},
                    {"cpu": "1", "iowait": 2.0, "idle": 90.0},
                ],
                "interrupts": [{"intr": "sum", "value": 100.5}, {"intr": "0", "value": 1}],
                "disk": [
                    {"disk-device": "dev8-0", "rd_sec": 10.0, "wr_sec": 4.0}
                    | {"avgqu-sz": 0.5, "util-percent": 100.3}
                ],
                # Before sysstat 11.7 all that is not free was used.
                "memory": {"memfree": 300, "memused": 700, "memused-percent": 70.0}
                | {"buffers": 50, "cached": 150, "slab": 100},
            }
        ),
    )
    cpu, memory = row.document["cpu"], row.document["memory"]
    assert (cpu["user_percent"], cpu["system_percent"], cpu["irq_percent"]) == (10.0, 5.5, None)
    assert cpu["usage_percent"] == 16.5
    assert cpu["per_core"] == [None, 8.0]
    assert (cpu["core_count"], cpu["interrupts_per_sec"]) == (1, 100.5)
    assert memory["total_bytes"] == 1000 * KIB
    assert memory["used_bytes"] is memory["percent"] is None
    assert row.document["disk"]["devices"]["dev8-0"] == {
        "read_bytes_per_sec": 5120.0,
        "write_bytes_per_sec": 2048.0,
        "util_percent": 100.0,
        "queue_length": 0.5,
        "read_iops": None,
        "write_iops": None,
        "read_await_ms": None,
        "write_await_ms": None,
    }


def test_a_restart_leaves_an_empty_document_where_its_first_reading_was(tmp_path):
    boot = {"date": "2026-03-01", "time": "10:12:30", "utc": 1, "cpu_count": 2}
    load = {"queue": {"ldavg-1": 1.0}}
    samples = [said("10:10:00", **load), said("10:30:00", **load), said("10:40:00", **load)]
    *rows, blank = one(tmp_path, *samples, restarts=[boot])
    assert len(rows) == 3
    assert blank.timestamp == datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
    assert lookup(blank.document, "cpu.load_avg_1m") is None
    assert lookup(blank.document, "sampler.interval_seconds") is None
    assert blank.document["sampler"]["source"] == "sysstat:web1"


def test_a_restart_after_the_last_sample_is_marked_where_it_was(tmp_path):
    boot = {"date": "2026-03-01", "time": "10:12:30", "utc": 1}
    *_, blank = one(tmp_path, said("10:10:00"), restarts=[boot])
    assert blank.timestamp == datetime(2026, 3, 1, 10, 12, 30, tzinfo=UTC)


def test_partitions_are_left_out_and_other_devices_are_not(tmp_path):
    names = ["sda", "sda1", "nvme0n1", "nvme0n1p2", "md1", "md12", "dm-1", "dm-11"]
    [row] = one(tmp_path, said(disk=[{"disk-device": name, "rkB": 1.0} for name in names]))
    assert list(row.document["disk"]["devices"]) == [n for n in names if n[-2:] not in ("a1", "p2")]


def test_the_sum_of_the_network_leaves_software_interfaces_out(tmp_path):
    def received(*names):
        devices = [{"iface": name, "rxkB": 1.0} for name in names]
        [row] = one(tmp_path, said(network={"net-dev": devices}))
        return row.document["network"]["bytes_recv_per_sec"]

    assert received("lo", "eth0", "enp3s0", "veth12", "docker0", "br-1f", "eth0.100", "wg0") == 2048
    assert received("lo", "docker0", "tun0") == 2048
    assert received("lo") is None


@pytest.mark.parametrize(
    ("at", "field", "sentence"),
    [
        ({"utc": 0}, "timestamp", "make the file without -t and -T"),
        ({"tz": "CET"}, "timestamp", "time zone is 'CET'"),
        ({"date": "2026-13-01"}, "timestamp", "is no time"),
        ({"date": "2048-01-01"}, "timestamp", "in the future"),
        ({"interval": 184467440737095516}, "timestamp.interval", "is no number of seconds"),
        ({"interval": 0}, "timestamp.interval", "is no number of seconds"),
    ],
)
def test_wrong_times_are_named(tmp_path, at, field, sentence):
    sample = said()
    sample["timestamp"] |= at
    [bad] = one(tmp_path, sample, timezone="Europe/Berlin")
    assert (bad.field, bad.line) == (field, 9)
    assert sentence in str(bad)


def test_a_time_zone_of_newer_versions_is_understood(tmp_path):
    sample = said()
    del sample["timestamp"]["utc"]
    sample["timestamp"]["tz"] = "UTC"
    [row] = one(tmp_path, sample)
    assert row.timestamp == datetime(2026, 3, 1, 10, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"queue": {"ldavg-1": "high"}}, "queue.ldavg-1"),
        ({"queue": {"ldavg-1": float("inf")}}, "queue.ldavg-1"),
        ({"disk": {"sda": 1}}, "disk"),
        ({"disk": [{"disk-device": "sda", "rkB": []}]}, "disk[sda].rkB"),
        ({"disk": [{"disk-device": "s\0", "rkB": 1}]}, "statistics.disk.devices"),
    ],
)
def test_a_bad_field_is_named_with_file_and_line_and_the_next_sample_is_read(
    tmp_path, parts, field
):
    good, bad, other = one(tmp_path, said(), said("10:10:01", **parts), said("10:20:01"))
    assert isinstance(good, Ready)
    assert isinstance(other, Ready)
    assert bad.field == field
    assert str(bad).startswith(f"{tmp_path}/sa.json, line ")


def test_what_is_no_json_is_passed_over(tmp_path):
    path = tmp_path / "sa.json"
    text = printed(said("10:00:00"), said("10:10:00", kernel={"n": 5}), said("10:20:00"))
    path.write_text(text.replace('"n": 5', '"n": 5,,'))
    first, bad, last = items(path)
    assert "no JSON" in str(bad)
    assert text.splitlines()[bad.line - 1].strip() == '"n": 5'
    assert [first.timestamp.minute, last.timestamp.minute] == [0, 20]


def test_json_that_is_cut_off_gives_what_is_whole(tmp_path):
    path = tmp_path / "sa.json"
    text = printed(*(said(f"10:{minute}:00") for minute in range(10, 60)))
    for end in (20, len(text) // 2, len(text) - 10):
        path.write_text(text[:end])
        *rows, bad = items(path)
        assert len(rows) == text[:end].count("\n     }")
        assert bad.is_end


@pytest.mark.parametrize("content", [b"", b"Linux 6.1 (host)", b"{", b'{"sysstat": 1}', b"\0" * 99])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "sa01"
    path.write_bytes(content)
    [bad] = items(path)
    assert bad.is_end


def test_deeply_nested_json_ends_with_a_sentence(tmp_path):
    path = tmp_path / "sa.json"
    path.write_text(printed(said(x=1)).replace('"x": 1', '"x": ' + "[" * 100_000))
    [bad] = items(path)
    assert "nested too deeply" in str(bad)


def test_archives_of_a_folder_are_found_by_their_names(tmp_path):
    for name in ("sa01", "sa20260301.xz", "sar01", "readme", "x.json.gz", "202603/sa02"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in sadf.archives(tmp_path)]
    assert found == ["202603/sa02", "sa01", "sa20260301.xz", "x.json.gz"]


def test_an_input_begins_anew_each_time(archive):
    input = SysstatFile(str(archive), archive.stat().st_size, LATER)
    assert list(input.items()) == list(input.items())
    assert input.read == input.size
