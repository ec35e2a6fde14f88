"""/proc: parsers of its text, which are pure, and readers, which keep a descriptor."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple, TypeVar

from metrics.kernel.files import KernelFile
from metrics.kernel.host import Host

Value = TypeVar("Value")
Reader = Callable[[], Value]

SECTOR_BYTES = 512  # in /proc/diskstats, whatever the device says (Documentation/block/stat.rst)
_CPU_COLUMNS = 10
_IDLE, _IOWAIT = 3, 4


class Stat(NamedTuple):
    """/proc/stat: ticks per mode (user … guest_nice) of all CPUs and of each online one."""

    total: tuple[int, ...]
    cores: dict[int, tuple[int, ...]]
    context_switches: int | None
    interrupts: int | None
    forks: int | None
    running: int | None
    blocked: int | None


def busy_seconds(stat: Stat, cpus: Collection[int]) -> dict[int, float]:
    """For each of these CPUs that is online the seconds since boot that it was not idle."""
    hertz = os.sysconf("SC_CLK_TCK")
    return {
        cpu: (sum(ticks[:8]) - ticks[_IDLE] - ticks[_IOWAIT]) / hertz
        for cpu, ticks in stat.cores.items()
        if cpu in cpus
    }


class InterfaceCounters(NamedTuple):
    bytes_recv: int
    packets_recv: int
    errin: int
    dropin: int
    bytes_sent: int
    packets_sent: int
    errout: int
    dropout: int


class DeviceCounters(NamedTuple):
    """One line of /proc/diskstats, sectors as bytes, times in milliseconds."""

    read_count: int
    read_bytes: int
    read_ms: int
    write_count: int
    write_bytes: int
    write_ms: int
    busy_ms: int
    weighted_ms: int


def number_after(text: bytes, label: bytes) -> int | None:
    """The number that follows `label`, else None. A find per label beats walking 200 lines."""
    start = text.find(label)
    if start < 0:
        return None
    start += len(label)
    return int(text[start : start + 40].split(None, 1)[0])


def parse_stat(text: bytes) -> Stat:
    total: tuple[int, ...] = ()
    cores = {}
    end = text.find(b"\nintr ")  # thousands of numbers on a large machine: never split
    for line in text[: end if end >= 0 else len(text)].split(b"\n"):
        if not line.startswith(b"cpu"):
            continue
        name, *columns = line.split()
        ticks = tuple(map(int, columns))
        if len(ticks) != _CPU_COLUMNS:
            ticks = (*ticks, *(0,) * _CPU_COLUMNS)[:_CPU_COLUMNS]
        if name == b"cpu":
            total = ticks
        else:
            cores[int(name[3:])] = ticks
    return Stat(
        total,
        cores,
        context_switches=number_after(text, b"\nctxt "),
        interrupts=number_after(text, b"\nintr "),
        forks=number_after(text, b"\nprocesses "),
        running=number_after(text, b"\nprocs_running "),
        blocked=number_after(text, b"\nprocs_blocked "),
    )


def parse_loadavg(text: bytes) -> tuple[float, float, float]:
    one, five, fifteen = text.split(None, 3)[:3]
    return float(one), float(five), float(fifteen)


def parse_uptime(text: bytes) -> float:
    return float(text.split(None, 1)[0])


def parse_numbers(text: bytes, labels: Mapping[str, bytes]) -> dict[str, int | None]:
    """Each label's number from text of one `label number` per line; labels start with a newline."""
    text = b"\n" + text
    return {name: number_after(text, label) for name, label in labels.items()}


def parse_net_dev(text: bytes) -> dict[str, InterfaceCounters]:
    interfaces = {}
    for line in text.split(b"\n")[2:]:
        name, _, numbers = line.rpartition(b":")
        if name:
            n = numbers.split()
            interfaces[name.strip().decode("utf-8", "replace")] = InterfaceCounters(
                *map(int, (*n[0:4], *n[8:12]))
            )
    return interfaces


def parse_protocol(text: bytes, protocol: bytes, names: Iterable[bytes]) -> dict[bytes, int | None]:
    """Counters of one protocol of /proc/net/snmp or netstat: a line of names, then of numbers."""
    label = b"\n" + protocol + b": "
    text = b"\n" + text
    start = text.find(label)
    middle = text.find(label, start + 1)
    if start < 0 or middle < 0:
        return dict.fromkeys(names)
    end = text.find(b"\n", middle + 1)
    header = text[start:middle].split()
    numbers = text[middle : end if end >= 0 else None].split()
    return {name: int(numbers[header.index(name)]) if name in header else None for name in names}


def parse_diskstats(text: bytes) -> dict[str, DeviceCounters]:
    devices = {}
    for line in text.split(b"\n"):
        n = line.split(None, 14)
        if len(n) < 14:
            continue
        devices[n[2].decode("utf-8", "replace")] = DeviceCounters(
            read_count=int(n[3]),
            read_bytes=int(n[5]) * SECTOR_BYTES,
            read_ms=int(n[6]),
            write_count=int(n[7]),
            write_bytes=int(n[9]) * SECTOR_BYTES,
            write_ms=int(n[10]),
            busy_ms=int(n[12]),
            weighted_ms=int(n[13]),
        )
    return devices


def parse_cpuinfo_mhz(text: bytes) -> float | None:
    """The mean of the `cpu MHz` lines; None where the architecture writes none."""
    values = [
        float(line.partition(b":")[2])
        for line in text.split(b"\n")
        if line.startswith(b"cpu MHz") and line.partition(b":")[2].strip()
    ]
    return sum(values) / len(values) if values else None


def reader(path: str, parse: Callable[[bytes], Value]) -> Reader[Value]:
    file = KernelFile(path)
    return lambda: parse(file.read())


def optional(
    opener: Callable[[Host], Reader[Value]], host: Host
) -> Reader[Value] | Callable[[], None]:
    """The reader, or one of None where this kernel or container has no such file."""
    try:
        return opener(host)
    except (FileNotFoundError, PermissionError):
        return lambda: None


def stat(host: Host) -> Reader[Stat]:
    return reader(host.proc("stat"), parse_stat)


def loadavg(host: Host) -> Reader[tuple[float, float, float]]:
    return reader(host.proc("loadavg"), parse_loadavg)


def uptime(host: Host) -> Reader[float]:
    return reader(host.proc("uptime"), parse_uptime)


def meminfo(host: Host, names: Iterable[str]) -> Reader[dict[str, int | None]]:
    """KiB (hugepages: pages) by name of /proc/meminfo."""
    labels = {name: b"\n%s:" % name.encode() for name in names}
    return reader(host.proc("meminfo"), lambda text: parse_numbers(text, labels))


def vmstat(host: Host, names: Iterable[str]) -> Reader[dict[str, int | None]]:
    labels = {name: b"\n%s " % name.encode() for name in names}
    return reader(host.proc("vmstat"), lambda text: parse_numbers(text, labels))


def net_dev(host: Host) -> Reader[dict[str, InterfaceCounters]]:
    return reader(host.process("net/dev"), parse_net_dev)


def diskstats(host: Host) -> Reader[dict[str, DeviceCounters]]:
    return reader(host.proc("diskstats"), parse_diskstats)
