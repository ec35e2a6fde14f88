"""Which host this is and how long it has been up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metrics.collectors.base import Collector, Document, Occasion, missing_file_is_no_data
from metrics.collectors.fields import Field, Kind, Unit

if TYPE_CHECKING:
    from metrics.kernel.host import Host

FIELDS = (
    Field(
        "host.id",
        Kind.STATE,
        Unit.NONE,
        "An anonymous identifier that stays with the installation.",
        "hash of /etc/machine-id",
    ),
    Field("host.name", Kind.STATE, Unit.NONE, "The host's name.", "/proc/sys/kernel/hostname"),
    Field(
        "host.boot_id",
        Kind.STATE,
        Unit.NONE,
        "An identifier that the kernel draws at each boot.",
        "/proc/sys/kernel/random/boot_id",
    ),
    Field(
        "host.uptime_seconds",
        Kind.GAUGE,
        Unit.SECONDS,
        "Time since the host started.",
        "/proc/uptime",
    ),
)


@dataclass(frozen=True)
class HostReading:
    id: str | None
    name: str | None
    boot_id: str | None
    uptime_seconds: float


def open_host(host: Host, occasion: Occasion) -> Callable[[], HostReading]:
    from metrics.kernel import procfs
    from metrics.kernel.host import identity

    with missing_file_is_no_data():
        uptime = procfs.uptime(host)
    # Asked once: a host that is renamed gets its new name when the sampler starts anew.
    known = identity(host)
    return lambda: HostReading(known.id, known.name, occasion.boot_id, uptime())


def document(now: HostReading, before: HostReading | None, elapsed: float | None) -> Document:
    return {
        "id": now.id,
        "name": now.name,
        "boot_id": now.boot_id,
        "uptime_seconds": now.uptime_seconds,
    }


COLLECTOR = Collector("host", FIELDS, open_host, document)
