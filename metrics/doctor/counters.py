"""Performance counters: permission, the PMUs, and each event."""

import os
from collections.abc import Iterator
from pathlib import Path

from metrics.doctor.base import Finding, Level
from metrics.kernel.capabilities import capabilities
from metrics.kernel.cpus import online_cpus
from metrics.kernel.files import read_once
from metrics.kernel.perf import Counters
from metrics.kernel.perf_table import EVENTS
from metrics.watched import watched_host


def look() -> Iterator[Finding]:
    """See what can be counted, and why not more."""
    host = watched_host()
    paranoid = read_once(host.proc("sys/kernel/perf_event_paranoid"))
    rights = capabilities()
    yield Finding(
        "counters",
        "permission",
        Level.OK,
        f"kernel.perf_event_paranoid is {paranoid or 'unknown'}; this process, of user"
        f" {os.geteuid()}, has {' and '.join(rights) or 'neither PERFMON nor SYS_ADMIN'}",
    )
    devices = Path(host.sys("bus/event_source/devices"))
    pmus = sorted(path.name for path in devices.iterdir()) if devices.is_dir() else []
    yield Finding("counters", "PMUs", Level.OK, ", ".join(pmus) or "none")
    counting = Counters(host)
    try:
        counts = counting.read(online_cpus(host)())
    except OSError as fault:
        yield Finding("counters", "events", Level.WARNING, f"The CPUs are not known: {fault}")
        return
    finally:
        counting.close()
    if not counts.groups:
        text = next((why.sentence for why in counts.missing.values()), "Nothing can be counted.")
        yield Finding("counters", "events", Level.WARNING, text)
        return
    for event in EVENTS:
        why = counts.missing.get(event.name)
        yield Finding(
            "counters",
            event.name,
            Level.NOTE if why else Level.OK,
            why.words if why else "counted on each CPU",
        )
    for sentence in dict.fromkeys(why.sentence for why in counts.missing.values()):
        yield Finding("counters", "why", Level.NOTE, sentence)
