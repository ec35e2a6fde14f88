"""PerfWatch's counts beside those of `perf stat -a`, over the same seconds."""

import shutil
import subprocess
import time
from typing import NamedTuple

from metrics.collectors import perf_events
from metrics.collectors.base import Occasion
from metrics.kernel.host import Host

SECONDS = 10
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Of perf(1), by our names; those of the caches have the same names there, with dashes.
NAMES = {
    "branch_instructions": "branches",
    "page_faults": "page-faults",
    "stalled_cycles_frontend": "stalled-cycles-frontend",
    "stalled_cycles_backend": "stalled-cycles-backend",
    "l1d_loads": "L1-dcache-loads",
    "l1d_load_misses": "L1-dcache-load-misses",
    "llc_loads": "LLC-loads",
    "llc_load_misses": "LLC-load-misses",
    "dtlb_loads": "dTLB-loads",
    "dtlb_load_misses": "dTLB-load-misses",
    "itlb_load_misses": "iTLB-load-misses",
}


class Unavailable(Exception):
    """perf(1) cannot be asked; the message says why, and what would help."""


class Compared(NamedTuple):
    """One event: the counts of both, None where one does not count it."""

    name: str
    ours: float | None
    theirs: float | None

    @property
    def percent(self) -> float | None:
        """Return how much more ours is than theirs."""
        if self.ours is None or not self.theirs:
            return None
        return 100 * (self.ours - self.theirs) / self.theirs


def compare(host: Host, seconds: int = SECONDS) -> list[Compared]:
    """Count with both for so many seconds. Raises Unavailable where perf(1) does not count."""
    events = {
        field.path.removeprefix("perf_events."): ""
        for field in (*perf_events.HARDWARE, *perf_events.SOFTWARE)
    }
    events = {name: NAMES.get(name, name.replace("_", "-")) for name in events}
    read = perf_events.open_perf_events(host, Occasion())
    read()  # opens the counters, which takes a while
    program = shutil.which("perf", path=PATH)
    if program is None:
        raise Unavailable(
            "There is no perf: the package linux-perf (Ubuntu: linux-tools-generic) brings it."
        )
    asked = ["stat", "-a", "-x", ";", "-e", ",".join(events.values())]
    with subprocess.Popen(
        [program, *asked, "--", "sleep", str(seconds)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={"LC_ALL": "C", "PATH": PATH},
    ) as perf:
        before, began = read(), time.monotonic()
        _, said = perf.communicate()
        after, ended = read(), time.monotonic()
    if perf.returncode:
        raise Unavailable(" ".join(said.split())[:300] or "perf stat failed.")
    ours = perf_events.document(after, before, ended - began)
    theirs = _counts(said)
    return [Compared(name, ours.get(name), theirs.get(its)) for name, its in events.items()]


def _counts(said: str) -> dict[str, float]:
    """Read `count;unit;event;…`; what is not supported or not counted has no number."""
    found: dict[str, float] = {}
    for line in said.splitlines():
        count, _, rest = line.partition(";")
        _, _, rest = rest.partition(";")
        name = rest.partition(";")[0]
        try:
            found[name] = found.get(name, 0.0) + float(count)
        except ValueError:
            continue
    return found
