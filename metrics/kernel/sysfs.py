"""/sys: which devices are hardware, links, CPU frequency and temperature."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from metrics.kernel.files import read_once
from metrics.kernel.host import Host
from metrics.kernel.procfs import parse_cpuinfo_mhz

Value = TypeVar("Value")

LOOK_AGAIN_SECONDS = 30.0
_IFF_UP = 0x1
# Drivers of the sensors inside CPUs, and the labels of their package sensor, best first.
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")
_PACKAGE_LABELS = ("package id", "tdie", "tctl")
_CPU_ZONES = ("x86_pkg_temp", "cpu", "soc")


class Blocks(NamedTuple):
    """Whole block devices: all that are worth showing, and those among them with hardware."""

    whole: frozenset[str]
    hardware: frozenset[str]


class Link(NamedTuple):
    is_up: bool | None
    speed_mbps: int | None


class Remembered(Generic[Value]):
    """What `look` says about a set of names, asked again when the set changes or gets old."""

    def __init__(
        self,
        look: Callable[[frozenset[str]], Value],
        seconds: float = LOOK_AGAIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._clock = clock
        self._known: tuple[frozenset[str], float, Value] | None = None

    def __call__(self, names: Collection[str]) -> Value:
        now = self._clock()
        if self._known is not None:
            known, moment, value = self._known
            if (
                now - moment < self._seconds
                and len(known) == len(names)
                and known.issuperset(names)
            ):
                return value
        known = frozenset(names)
        value = self._look(known)
        self._known = (known, now, value)
        return value


def hardware_interfaces(host: Host, names: frozenset[str]) -> frozenset[str]:
    folder = Path(host.sys("class/net"))
    return frozenset(name for name in names if (folder / name / "device").exists())


def block_devices(host: Host, names: frozenset[str]) -> Blocks | None:
    """None when there is no /sys/block to tell whole devices from partitions."""
    folder = Path(host.sys("block"))
    if not folder.is_dir():
        return None
    # sysfs writes the slash of names like cciss/c0d0 as an exclamation mark.
    entries = {path.name.replace("!", "/"): path for path in folder.iterdir()}
    whole = {
        name: entries[name]
        for name in names
        if name in entries and not name.startswith(("ram", "loop"))
    }
    # The hidden paths below a multipath device count the same I/O once more.
    shown = {n: path for n, path in whole.items() if read_once(path / "hidden") != "1"}
    hardware = (name for name, path in shown.items() if (path / "device").exists())
    return Blocks(frozenset(shown), frozenset(hardware))


def present_cpus(host: Host) -> int:
    """One more than the highest number of a CPU that is plugged in; 0 when sysfs does not say."""
    text = read_once(host.sys("devices/system/cpu/present")) or ""
    last = text.rpartition(",")[2].rpartition("-")[2]
    return int(last) + 1 if last.isdecimal() else 0


def links(host: Host) -> dict[str, Link]:
    """All interfaces' state. The speed waits for the network's global lock: not for each sample."""
    return {path.name: _link(path) for path in Path(host.sys("class/net")).iterdir()}


def _link(path: Path) -> Link:
    flags, state, speed = (read_once(path / name) for name in ("flags", "operstate", "speed"))
    # "unknown" is what drivers without a notion of a carrier say while they work (RFC 2863).
    is_up = None if not flags else bool(int(flags, 16) & _IFF_UP) and state in ("up", "unknown")
    # -1 (and 65535 and 4294967295 of old drivers) is "unknown".
    mbps = int(speed) if speed and speed.isdecimal() else 0
    return Link(is_up, mbps if 0 < mbps < 2**32 - 1 and mbps != 65535 else None)


def frequency_mhz(host: Host) -> float | None:
    """The mean of what cpufreq says of the online CPUs, else of /proc/cpuinfo, else None."""
    cpus = Path(host.sys("devices/system/cpu"))
    texts = map(read_once, cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    khz = [int(text) for text in texts if text and text.isdecimal()]
    if khz:
        return sum(khz) / len(khz) / 1000
    return parse_cpuinfo_mhz(Path(host.proc("cpuinfo")).read_bytes())


def temperature_celsius(host: Host) -> float | None:
    """The hottest CPU package by hwmon, else the hottest CPU sensor, else a CPU's thermal zone."""
    chips = [
        path
        for path in Path(host.sys("class/hwmon")).glob("hwmon*")
        if read_once(path / "name") in _CPU_SENSORS
    ]
    by_label: dict[str, list[float]] = {}
    for chip in chips:
        for path in chip.glob("temp*_input"):
            label_path = path.with_name(path.name.replace("_input", "_label"))
            label = (read_once(label_path) or "").lower()
            by_label.setdefault(label, []).extend(_degrees(path))
    for wanted in _PACKAGE_LABELS:
        values = [v for label, vs in by_label.items() if label.startswith(wanted) for v in vs]
        if values:
            return max(values)
    every = [value for values in by_label.values() for value in values]
    return max(every or _zones(host), default=None)


def _zones(host: Host) -> list[float]:
    return [
        value
        for path in Path(host.sys("class/thermal")).glob("thermal_zone*")
        if (read_once(path / "type") or "").startswith(_CPU_ZONES)
        for value in _degrees(path / "temp")
    ]


def _degrees(path: Path) -> list[float]:
    text = read_once(path)
    try:
        return [int(text) / 1000] if text else []
    except ValueError:
        return []
