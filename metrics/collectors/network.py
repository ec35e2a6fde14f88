"""Network: interfaces, their sum, TCP and sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import (
    Collector,
    Document,
    Occasion,
    growths,
    missing_file_is_no_data,
    rate,
)
from metrics.collectors.fields import Field, Kind, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host
    from metrics.kernel.procfs import InterfaceCounters
    from metrics.kernel.sockets import Sockets
    from metrics.kernel.sysfs import Link

LINK_SECONDS = 10.0
_SOURCE = "/proc/net/dev"

# Columns of InterfaceCounters, in its order: name in the sum, name of an interface's rate,
# unit, what they count.
_COLUMNS = (
    ("bytes_recv", "bytes_recv", Unit.BYTES, "Bytes received"),
    ("packets_recv", "packets_recv", Unit.COUNT, "Packets received"),
    ("errin", "errors_recv", Unit.COUNT, "Packets received with errors"),
    ("dropin", "drops_recv", Unit.COUNT, "Received packets that were dropped"),
    ("bytes_sent", "bytes_sent", Unit.BYTES, "Bytes sent"),
    ("packets_sent", "packets_sent", Unit.COUNT, "Packets sent"),
    ("errout", "errors_sent", Unit.COUNT, "Packets that could not be sent because of errors"),
    ("dropout", "drops_sent", Unit.COUNT, "Packets dropped instead of sent"),
)
_TOTALS = tuple(name for name, _, _, _ in _COLUMNS)
_TOTAL_RATES = tuple(f"{name}_per_sec" for name in _TOTALS)
_INTERFACE_RATES = tuple(f"{name}_per_sec" for _, name, _, _ in _COLUMNS)
_NO_RATES: tuple[None, ...] = (None,) * len(_COLUMNS)


def _per_second(unit: Unit) -> Unit:
    return Unit.BYTES_PER_SECOND if unit is Unit.BYTES else Unit.PER_SECOND


def _column_fields() -> tuple[Field, ...]:
    fields = []
    for (name, _, unit, what), total_rate, interface_rate in zip(
        _COLUMNS, _TOTAL_RATES, _INTERFACE_RATES, strict=True
    ):
        since = f"{what} since boot, sum of the hardware interfaces."
        second = f"{what} per second, sum of the hardware interfaces."
        fast = _per_second(unit)
        one = f"network.interfaces.*.{interface_rate}"
        fields += [
            Field(f"network.{name}", Kind.COUNTER, unit, since, _SOURCE),
            Field(f"network.{total_rate}", Kind.RATE, fast, second, _SOURCE),
            Field(one, Kind.RATE, fast, f"{what} per second by one interface.", _SOURCE),
        ]
    return tuple(fields)


def _interface(name: str, kind: Kind, unit: Unit, description: str, source: str) -> Field:
    return Field(f"network.interfaces.*.{name}", kind, unit, description, source)


def _tcp(name: str, kind: Kind, description: str, source: str) -> Field:
    unit = Unit.PER_SECOND if kind is Kind.RATE else Unit.COUNT
    return Field(f"network.{name}", kind, unit, description, f"/proc/net/{source}")


FIELDS = (
    *_column_fields(),
    _interface(
        "bytes_sent",
        Kind.COUNTER,
        Unit.BYTES,
        "Bytes sent by one interface since it was made.",
        _SOURCE,
    ),
    _interface(
        "bytes_recv",
        Kind.COUNTER,
        Unit.BYTES,
        "Bytes received by one interface since it was made.",
        _SOURCE,
    ),
    _interface(
        "is_up",
        Kind.STATE,
        Unit.NONE,
        "Whether the interface is switched on and has a link.",
        "/sys/class/net/*/operstate and flags",
    ),
    _interface(
        "speed_mbps",
        Kind.CAPACITY,
        Unit.MEGABITS_PER_SECOND,
        "Speed of the link.",
        "/sys/class/net/*/speed",
    ),
    _tcp("tcp.established", Kind.GAUGE, "TCP connections that are open.", "snmp: CurrEstab"),
    _tcp(
        "tcp.time_wait",
        Kind.GAUGE,
        "Closed TCP connections that wait for late packets.",
        "sockstat: TCP tw",
    ),
    _tcp(
        "tcp.retransmits_per_sec",
        Kind.RATE,
        "TCP segments sent once more because no answer came.",
        "snmp: RetransSegs",
    ),
    _tcp(
        "tcp.resets_per_sec",
        Kind.RATE,
        "Open TCP connections that ended by a reset.",
        "snmp: EstabResets",
    ),
    _tcp(
        "tcp.listen_drops_per_sec",
        Kind.RATE,
        "Incoming TCP connections dropped by a listening socket.",
        "netstat: ListenDrops",
    ),
    _tcp("sockets_used", Kind.GAUGE, "Sockets of all kinds in use.", "sockstat: sockets used"),
)


@dataclass(frozen=True)
class NetworkReading:
    interfaces: Mapping[str, InterfaceCounters]
    hardware: frozenset[str]
    links: Mapping[str, Link]
    sockets: Sockets


def open_network(host: Host, occasion: Occasion) -> Callable[[], NetworkReading]:
    from metrics.kernel import procfs, slow, sockets, sysfs

    with missing_file_is_no_data():
        net_dev = procfs.net_dev(host)
    read_sockets = sockets.sockets(host)
    hardware = sysfs.Remembered(lambda names: sysfs.hardware_interfaces(host, names))
    # Asking for the speed waits for the lock that every change of the network takes.
    links = slow.Periodic(lambda: sysfs.links(host), LINK_SECONDS)
    slow.wait_for_first([links])

    def read() -> NetworkReading:
        interfaces = net_dev()
        return NetworkReading(
            interfaces, hardware(interfaces.keys()), links.latest() or {}, read_sockets()
        )

    return read


def document(now: NetworkReading, before: NetworkReading | None, elapsed: float | None) -> Document:
    old = before.interfaces if before else {}
    rates = {
        name: _rates(counters, old.get(name), elapsed) for name, counters in now.interfaces.items()
    }
    counted = now.hardware or now.interfaces.keys() - {"lo"}
    columns = list(zip(*(now.interfaces[name] for name in counted), strict=True))
    totals = [sum(column) for column in columns] or [0] * len(_COLUMNS)
    return {
        **dict(zip(_TOTALS, totals, strict=True)),
        **dict(zip(_TOTAL_RATES, _sum_of_rates([rates[n] for n in counted], before), strict=True)),
        "interfaces": {
            name: _interface_document(counters, rates[name], now.links.get(name))
            for name, counters in now.interfaces.items()
        },
        **_sockets_document(now.sockets, before.sockets if before else None, elapsed),
    }


def _rates(
    now: InterfaceCounters, before: InterfaceCounters | None, elapsed: float | None
) -> tuple[float | None, ...]:
    grown = growths(now, before)
    if grown is None or not elapsed or elapsed <= 0:
        return _NO_RATES
    return tuple([round(count / elapsed, 3) if count else 0.0 for count in grown])


def _sum_of_rates(
    rates: list[tuple[float | None, ...]], before: NetworkReading | None
) -> list[float | None]:
    """Sums by column; None on the first sample and when every interface is new."""
    if not rates and before:
        return [0.0] * len(_COLUMNS)
    known = [row for row in rates if row[0] is not None]
    if not known:
        return list(_NO_RATES)
    columns = zip(*known, strict=True)
    return [round(sum(value or 0.0 for value in column), 3) for column in columns]


def _interface_document(
    counters: InterfaceCounters, rates: tuple[float | None, ...], link: Link | None
) -> Document:
    return {
        "bytes_sent": counters.bytes_sent,
        "bytes_recv": counters.bytes_recv,
        **dict(zip(_INTERFACE_RATES, rates, strict=True)),
        "is_up": link.is_up if link else None,
        "speed_mbps": link.speed_mbps if link else None,
    }


def _sockets_document(now: Sockets, before: Sockets | None, elapsed: float | None) -> Document:
    return {
        "tcp": {
            "established": now.established,
            "time_wait": now.time_wait,
            "retransmits_per_sec": rate(now.retransmits, before and before.retransmits, elapsed),
            "resets_per_sec": rate(now.resets, before and before.resets, elapsed),
            "listen_drops_per_sec": rate(now.listen_drops, before and before.listen_drops, elapsed),
        },
        "sockets_used": now.used,
    }


COLLECTOR = Collector("network", FIELDS, open_network, document)
