"""Performance counters: permission, the PMUs, and each event."""

import os
from collections.abc import Iterator
from pathlib import Path

from metrics.collectors.base import Document, NoData, Occasion
from metrics.collectors.perf_events import open_perf_events
from metrics.doctor.base import Finding, Level
from metrics.kernel.capabilities import capabilities
from metrics.kernel.files import read_once
from metrics.kernel.perf_table import EVENTS
from metrics.watched import watched_host


def look(features: Document) -> Iterator[Finding]:
    """See what can be counted on the CPUs that are selected, and why not more."""
    host = watched_host()
    paranoid = read_once(host.proc("sys/kernel/perf_event_paranoid"))
    yield Finding(
        "counters",
        "permission",
        Level.OK,
        f"kernel.perf_event_paranoid is {paranoid or 'unknown'}; this process, of user"
        f" {os.geteuid()}, has {_rights()}",
    )
    devices = Path(host.sys("bus/event_source/devices"))
    pmus = sorted(path.name for path in devices.iterdir()) if devices.is_dir() else []
    yield Finding("counters", "PMUs", Level.OK, ", ".join(pmus) or "none")
    try:
        reading = open_perf_events(host, Occasion(features))()
    except (OSError, NoData) as fault:
        yield Finding("counters", "events", Level.WARNING, f"The CPUs are not known: {fault}")
        return
    if reading.counts is None or reading.cpus is None:
        level = Level.WARNING if reading.counts else Level.NOTE
        yield Finding("counters", "events", level, reading.reason or "Nothing can be counted.")
        return
    missing = reading.counts.missing
    for event in EVENTS:
        why = missing.get(event.name)
        yield Finding(
            "counters",
            event.name,
            Level.NOTE if why else Level.OK,
            why.words if why else f"counted on CPUs {reading.cpus}",
        )
    if reading.reason:
        yield Finding("counters", "why", Level.NOTE, reading.reason)


def _rights() -> str:
    if rights := capabilities():
        return " and ".join(rights)
    possible = " and ".join(capabilities("CapBnd"))
    may = f"but may be given {possible}" if possible else "and may not be given them"
    return f"neither PERFMON nor SYS_ADMIN, {may}"
