"""Takes out of kernel text what would say whose host it is. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from metrics.kernel.filesystems import LOCAL

HOST_NAME = "host"
BOOT_ID = b"00000000-0000-0000-0000-000000000000\n"
_CPUINFO = {
    *(b"processor", b"vendor_id", b"cpu family", b"model", b"model name", b"stepping", b"cpu MHz"),
    *(b"physical id", b"siblings", b"core id", b"cpu cores", b"CPU architecture", b"CPU part"),
}
_IPV4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
# enx0011aabbccdd: systemd names interfaces for their MAC address where nothing else is known.
_MAC_IN_NAME = re.compile(r"(?<![0-9a-zA-Z])((?:en|wl|ww)x)([0-9a-f]{12})(?![0-9a-zA-Z])")


def interface_names() -> Callable[[str], str]:
    """A function that gives each MAC address in a name a number, always the same."""
    numbers: dict[str, int] = {}

    def rename(text: str) -> str:
        return _MAC_IN_NAME.sub(
            lambda m: f"{m[1]}{numbers.setdefault(m[2], len(numbers) + 1):012d}", text
        )

    return rename


def cpuinfo(text: bytes) -> bytes:
    """Lines about the CPUs' kind and frequency; serial numbers and the board's name are not."""
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if line.partition(b":")[0].strip() in {*_CPUINFO, b""})


def mountinfo(text: bytes, host_name: str) -> bytes:
    """Mount points, types and local devices stay; servers, shares and options go.

    The host's name goes too where it stands as a word: volume groups are named after hosts.
    """
    lines = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        left, separator, right = line.partition(" - ")
        if not separator:
            continue
        number, parent, device_number, _, point, options, *_ = left.split(" ")
        fstype, device, super_options = [*right.split(" ", 2), "", ""][:3]
        if fstype not in LOCAL:
            device = "server:/share" if ":" in device or "//" in device else fstype
        ids = f"{number} {parent} {device_number} /"
        names = [without_names(name, host_name) for name in (point, device)]
        lines.append(
            f"{ids} {names[0]} {_mode(options)} - {fstype} {names[1]} {_mode(super_options)}\n"
        )
    return "".join(lines).encode("utf-8", "surrogateescape")


def without_names(text: str, host_name: str) -> str:
    """`text` with "host" for the host's name as a word of its own, and without IP addresses."""
    for name in filter(None, (host_name, host_name.partition(".")[0])):
        text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])", HOST_NAME, text)
    return _IPV4.sub("0.0.0.0", text)  # noqa: S104


def _mode(options: str) -> str:
    return "ro" if "ro" in options.split(",") else "rw"
