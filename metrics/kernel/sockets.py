"""TCP and socket counts from /proc/net/snmp, netstat and sockstat, without walking the sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from metrics.kernel.files import KernelFile
from metrics.kernel.host import Host
from metrics.kernel.procfs import number_after, parse_protocol

_SNMP = (b"CurrEstab", b"RetransSegs", b"EstabResets")
_NETSTAT = (b"ListenDrops",)


class Sockets(NamedTuple):
    established: int | None
    time_wait: int | None
    retransmits: int | None
    resets: int | None
    listen_drops: int | None
    used: int | None


def sockets(host: Host) -> Callable[[], Sockets]:
    """A reader whose numbers are None where the kernel was built without their file."""
    snmp = _text(host.process("net/snmp"))
    netstat = _text(host.process("net/netstat"))
    sockstat = _text(host.process("net/sockstat"))
    return lambda: parse_sockets(snmp(), netstat(), sockstat())


def parse_sockets(snmp: bytes, netstat: bytes, sockstat: bytes) -> Sockets:
    tcp = parse_protocol(snmp, b"Tcp", _SNMP)
    extended = parse_protocol(netstat, b"TcpExt", _NETSTAT)
    line = next((line for line in sockstat.split(b"\n") if line.startswith(b"TCP: ")), b"")
    return Sockets(
        established=tcp[b"CurrEstab"],
        time_wait=number_after(line, b" tw "),
        retransmits=tcp[b"RetransSegs"],
        resets=tcp[b"EstabResets"],
        listen_drops=extended[b"ListenDrops"],
        used=number_after(sockstat, b"sockets: used "),
    )


def _text(path: str) -> Callable[[], bytes]:
    try:
        return KernelFile(path).read
    except (FileNotFoundError, PermissionError):
        return lambda: b""
