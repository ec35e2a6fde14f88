"""PerfWatch's counts beside those of `perf stat -a`, over the same seconds."""

import shutil
import socket
import subprocess
import time
from typing import NamedTuple, Self

from metrics.collectors import perf_events
from metrics.collectors.base import Document, Occasion
from metrics.kernel.host import Host

SECONDS = 10.0
PATIENCE_SECONDS = 20.0
AGREE_PERCENT = 5.0
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
UNKNOWN_OPTION = 129  # the exit status of perf(1)

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
    """One event: the counts of both, None where one does not count it.

    perf began and ended between two of our readings each time. `least` is what we counted between
    the inner two, `most` between the outer two, and `ours` the mean.
    """

    name: str
    least: float | None
    most: float | None
    theirs: float | None

    @property
    def ours(self) -> float | None:
        """Return our count of the time in which perf counted."""
        return None if self.least is None or self.most is None else (self.least + self.most) / 2

    @property
    def percent(self) -> float | None:
        """Return how much more ours is than theirs."""
        if self.ours is None or not self.theirs:
            return None
        return 100 * (self.ours - self.theirs) / self.theirs

    @property
    def agrees(self) -> bool | None:
        """Return whether both say the same: within 5 %, or within what our readings leave open.

        The latter is for events so rare that one more is many per cent.
        """
        if self.least is None or self.most is None or self.theirs is None:
            return None
        if self.percent is not None and abs(self.percent) <= AGREE_PERCENT:
            return True
        return self.least <= self.theirs <= self.most


class _Perf:
    """A `perf stat` that runs, and counts until `end`.

    Since Linux 5.10 it counts by command, and acknowledges. An older one counts from just before
    its workload starts until that has ended.
    """

    def __init__(self, program: str, events: str, *, by_command: bool) -> None:
        self._by_command = by_command
        self._printed: str | None = None
        self._here, there = socket.socketpair()
        self._here.settimeout(PATIENCE_SECONDS)
        number = there.fileno()
        command = [program, "stat", "-a", "-x", ";", "-e", events]
        command += ["-D", "-1", "--control", f"fd:{number},{number}"] if by_command else []
        with there:
            self._process = subprocess.Popen(
                [*command, "--", "cat"],
                stdin=subprocess.PIPE,
                stdout=number,
                stderr=subprocess.PIPE,
                pass_fds=[number],
                text=True,
                env={"LC_ALL": "C", "PATH": PATH},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()
        with self._process:
            self._process.kill()

    def works(self) -> bool:
        """Wait until the workload runs; return False where perf has ended instead."""
        stdin = self._process.stdin
        try:
            if stdin:
                stdin.write("\n")
                stdin.flush()
            return self._answers()
        except ConnectionError:
            return False

    def begin(self) -> None:
        """Count from now on; without commands it has begun."""
        self._command(b"enable\n")

    def end(self) -> None:
        """Count no more."""
        self._command(b"disable\n")
        if not self._by_command:
            self.said()

    def said(self) -> tuple[int, str]:
        """Wait until perf has ended; return its exit status and what it printed."""
        if self._printed is None:
            try:
                _, self._printed = self._process.communicate(timeout=PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                raise Unavailable("perf does not end.") from None
        return self._process.returncode, self._printed

    def _command(self, command: bytes) -> None:
        if not self._by_command:
            return
        try:
            self._here.sendall(command)
            self._answers()
        except ConnectionError:
            return  # it has ended, and said why

    def _answers(self) -> bool:
        said = b""
        while b"\n" not in said:
            try:
                more = self._here.recv(16)
            except TimeoutError:
                raise Unavailable("perf does not answer.") from None
            if not more:
                return False
            said += more
        return True


def compare(host: Host, seconds: float) -> list[Compared]:
    """Count with both for so many seconds. Raises Unavailable where perf(1) does not count."""
    program = shutil.which("perf", path=PATH)
    if program is None:
        raise Unavailable(
            "There is no perf: the package linux-perf (Ubuntu: linux-tools-generic) brings it."
        )
    names = [
        field.path.removeprefix("perf_events.")
        for field in (*perf_events.HARDWARE, *perf_events.SOFTWARE)
    ]
    events = {name: NAMES.get(name, name.replace("_", "-")) for name in names}
    read = perf_events.open_perf_events(host, Occasion())
    read()  # opens the counters, which takes a while
    moments: list[tuple[perf_events.PerfReading, float]] = []

    def look() -> None:
        moments.append((read(), time.monotonic()))

    for by_command in (True, False):
        moments.clear()
        look()
        with _Perf(program, ",".join(events.values()), by_command=by_command) as perf:
            if perf.works():
                if by_command:
                    moments.clear()
                    look()
                perf.begin()
                look()
                time.sleep(seconds)
                look()
                perf.end()
                look()
            status, said = perf.said()
        if status != UNKNOWN_OPTION:
            break
    if status or len(moments) != 4:
        raise Unavailable(" ".join(said.split())[:300] or "perf stat failed.")
    begun, inner, inner_end, ended = moments
    most, least = _grown(begun, ended), _grown(inner, inner_end)
    theirs = _counts(said)
    return [
        Compared(name, least.get(name), most.get(name), theirs.get(its))
        for name, its in events.items()
    ]


def _grown(
    before: tuple[perf_events.PerfReading, float], after: tuple[perf_events.PerfReading, float]
) -> Document:
    return perf_events.document(after[0], before[0], after[1] - before[1])


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
