"""Puts the kernel files that are read on this host into an archive, for a bug report.

What is written is named here, file by file, so nothing gets in by accident. Unpacked, its folders
proc, sys and root take the places of /proc, /sys and /.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from metrics.kernel import anonymous
from metrics.kernel.files import read_once
from metrics.kernel.host import Host, identity

MOST_BYTES_OF_A_FILE = 1 << 20
MOST_BYTES = 16 << 20
MOST_PROCESSES = 1000
PATIENCE_SECONDS = 2.0

_PROC = ("stat", "loadavg", "meminfo", "vmstat", "uptime", "diskstats", "cpuinfo")
_PROC_MORE = (
    *(f"pressure/{name}" for name in ("cpu", "memory", "io")),
    "sys/kernel/perf_event_paranoid",
)
_PROCESS = ("net/dev", "net/snmp", "net/netstat", "net/sockstat", "mountinfo")
_SYS = (
    "devices/system/cpu/online",
    "devices/system/cpu/present",
    "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq",
    *(f"class/hwmon/hwmon*/{name}" for name in ("name", "temp*_input", "temp*_label")),
    *(f"class/thermal/thermal_zone*/{name}" for name in ("type", "temp")),
    *(f"class/net/*/{name}" for name in ("flags", "operstate", "speed", "device")),
    *("block/*", "block/*/hidden", "block/*/device"),
)


def record(host: Host) -> bytes:
    """A tar.gz of at most a few MB. Raises OSError where /proc cannot be read at all."""
    archive = _Archive()
    name = identity(host).name or ""
    rename = anonymous.interface_names()
    for path, text in _proc(host):
        archive.file(f"proc/{path}", _clean(path, text, name, rename))
    host_name = anonymous.HOST_NAME.encode() + b"\n"
    archive.file("proc/sys/kernel/hostname", host_name)
    archive.file("proc/sys/kernel/random/boot_id", anonymous.BOOT_ID)
    archive.file("root/etc/hostname", host_name)
    for pattern in _SYS:
        for found in sorted(Path(host.sysfs).glob(pattern)):
            archive.of_sysfs(found, rename(str(found.relative_to(host.sysfs))))
    return archive.finished()


def _clean(path: str, text: bytes, name: str, rename: Callable[[str], str]) -> bytes:
    if path == "cpuinfo":
        return anonymous.cpuinfo(text)
    if path.endswith("/mountinfo"):
        return anonymous.mountinfo(text, name)
    if path.endswith("/net/dev"):
        names = rename(text.decode("utf-8", "surrogateescape"))
        return names.encode("utf-8", "surrogateescape")
    return text


def _proc(host: Host) -> Iterator[tuple[str, bytes]]:
    for name in _PROC:
        yield name, _read(host.proc(name), required=name == "stat")
    for name in _PROC_MORE:
        yield name, _read(host.proc(name))
    for name in _PROCESS:
        yield f"1/{name}", _read(host.process(name))
    numbers = sorted(int(p.name) for p in Path(host.procfs).iterdir() if p.name.isdecimal())
    for number in numbers[:MOST_PROCESSES]:
        yield f"{number}/stat", _read(host.proc(f"{number}/stat"))


def _read(path: str, *, required: bool = False) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MOST_BYTES_OF_A_FILE)
    except OSError:
        if required:
            raise
        return b""


class _Archive:
    """Members get no owner and no time; an empty file means that there was none."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w:gz")  # noqa: SIM115
        self._left = MOST_BYTES
        self._devices: dict[str, int] = {}

    def file(self, name: str, content: bytes) -> None:
        if not content or len(content) > self._left:
            return
        self._left -= len(content)
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def of_sysfs(self, path: Path, name: str) -> None:
        """An attribute, a folder, or a link to a device: what it is stays, where it is does not.

        Paths of devices can hold addresses and serial numbers, so each device gets a number.
        """
        if path.name == "device":
            number = self._devices.setdefault(os.path.realpath(path), len(self._devices) + 1)
            up = "../" * name.count("/")
            self._folder(f"sys/devices/recorded/{number}")
            member = tarfile.TarInfo(f"sys/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, f"{up}devices/recorded/{number}"
            self._tar.addfile(member)
        elif name.startswith("block/") and name.count("/") == 1:
            self._folder(f"sys/{name}")
        else:
            text = _patiently(lambda: read_once(path))
            self.file(f"sys/{name}", f"{text}\n".encode() if text else b"")

    def finished(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()

    def _folder(self, name: str) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        self._tar.addfile(member)


def _patiently(read: Callable[[], str | None]) -> str | None:
    """What `read` gives within 2 s; a sensor may hang."""
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(read()), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return found[0] if found else None
