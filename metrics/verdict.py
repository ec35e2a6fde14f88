"""What the CPUs are doing, in words, with the numbers that led there: rules as data. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from metrics.formats import text_of
from metrics.series import declared, unit_of

Read = Callable[[str], Any]


@dataclass(frozen=True)
class Condition:
    """A field is at least, or below, a number. A field without a value fulfils nothing.

    With `per`, another field, the value is divided by that one's first.
    """

    field: str
    least: float | None = None
    below: float | None = None
    per: str = ""

    def holds(self, read: Read) -> bool:
        """Return whether the values fulfil the condition."""
        value = _number(read(self.field))
        whole = _number(read(self.per)) if self.per else 1
        if value is None or not whole:
            return False
        value /= whole
        return (self.least is None or value >= self.least) and (
            self.below is None or value < self.below
        )


@dataclass(frozen=True)
class Rule:
    """One verdict: it is passed where all conditions of one of the cases hold.

    `more` are fields that are shown beside those of the case.
    """

    title: str
    sentence: str
    cases: tuple[tuple[Condition, ...], ...]
    more: tuple[str, ...] = ()


class Evidence(NamedTuple):
    """One number that led to the verdict."""

    label: str
    text: str
    field: str


class Verdict(NamedTuple):
    """`caveat` says what could not be asked, or is uncertain."""

    title: str
    sentence: str
    evidence: tuple[Evidence, ...]
    caveat: str = ""


USAGE, IPC = "cpu.usage_percent", "perf_events.ipc"
CACHE = "perf_events.cache_misses_per_kilo_instruction"
BRANCHES = "perf_events.branch_misses_per_kilo_instruction"
RUNNING = "perf_events.running_percent"
CORES = "cpu.core_count"

LABELS: Mapping[str, str] = {
    USAGE: "CPU",
    "cpu.steal_percent": "steal",
    "cpu.iowait_percent": "iowait",
    "cpu.procs_running": "tasks that could run",
    CORES: "CPUs",
    "pressure.cpu.some_stall_percent": "pressure on CPUs",
    "pressure.memory.some_stall_percent": "pressure on memory",
    "pressure.io.some_stall_percent": "pressure on disks",
    IPC: "instructions per cycle",
    CACHE: "cache misses per 1,000 instructions",
    BRANCHES: "branch misses per 1,000 instructions",
    "perf_events.stalled_backend_percent": "cycles stalled at the back end",
}

BUSY = Condition(USAGE, least=10)

RULES: tuple[Rule, ...] = (
    Rule(
        "Starved by the hypervisor",
        "Other virtual machines get time that this one asks for.",
        ((Condition("cpu.steal_percent", least=10),),),
        more=(USAGE,),
    ),
    Rule(
        "Short of memory",
        "Tasks wait until memory is taken back from others.",
        ((Condition("pressure.memory.some_stall_percent", least=10),),),
        more=(USAGE, "cpu.iowait_percent"),
    ),
    Rule(
        "Short of CPUs",
        "Tasks that could run wait for a CPU.",
        (
            (Condition(USAGE, least=80), Condition("pressure.cpu.some_stall_percent", least=40)),
            (Condition(USAGE, least=90), Condition("cpu.procs_running", least=2, per=CORES)),
        ),
        more=(IPC,),
    ),
    Rule(
        "Waiting for disks",
        "CPUs are idle, or could be, while tasks wait for reading and writing.",
        (
            (Condition("cpu.iowait_percent", least=15),),
            (Condition("pressure.io.some_stall_percent", least=25), Condition(USAGE, below=80)),
        ),
        more=(USAGE,),
    ),
    Rule(
        "Idle",
        "The CPUs have little to do.",
        ((Condition(USAGE, below=10),),),
    ),
    Rule(
        "Waiting for memory",
        "The CPUs are busy, but spend much of the time waiting for data that no cache holds.",
        (
            (BUSY, Condition(IPC, below=1), Condition(CACHE, least=5)),
            (
                BUSY,
                Condition(IPC, below=1),
                Condition("perf_events.stalled_backend_percent", least=40),
            ),
        ),
        more=(BRANCHES,),
    ),
    Rule(
        "Mispredicting",
        "The CPUs are busy, but throw much of the work away: they often guess branches wrongly.",
        ((BUSY, Condition(BRANCHES, least=8)),),
        more=(IPC, CACHE),
    ),
    Rule(
        "Computing",
        "The CPUs get through instructions.",
        ((BUSY, Condition(IPC, least=0)),),
        more=(CACHE, BRANCHES),
    ),
    Rule(
        "Busy",
        "The CPUs work; whether they get anywhere cannot be told here.",
        ((BUSY,),),
    ),
)
"""The first one that holds is the verdict. docs/counters.md has a section of the title of each."""

UNKNOWN = Verdict("No verdict yet", "There is no CPU usage to judge by.", ())

FIELDS: tuple[str, ...] = (*LABELS, RUNNING)
"""All that a verdict asks for."""


def verdict(read: Read, reason: str = "") -> Verdict:
    """Return the verdict over the values that `read` gives for FIELDS: of a moment, or means.

    `reason` says why this host counts no instructions, where it does not.
    """
    for rule in RULES:
        for case in rule.cases:
            if all(condition.holds(read) for condition in case):
                asked = [path for one in case for path in (one.field, one.per) if path]
                found = evidence((*asked, *rule.more), read)
                return Verdict(rule.title, rule.sentence, found, _caveat(read, reason))
    return UNKNOWN


def evidence(paths: Iterable[str], read: Read) -> tuple[Evidence, ...]:
    """Return the fields that have a value, each once, as people read them."""
    return tuple(
        Evidence(LABELS[path], str(text_of(value, unit_of(declared(path)))), path)
        for path in dict.fromkeys(paths)
        if (value := _number(read(path))) is not None
    )


def _caveat(read: Read, reason: str) -> str:
    if _number(read(IPC)) is None:
        return f"Without instructions per cycle: {reason}" if reason else ""
    running = _number(read(RUNNING))
    if running is not None and running < 50:
        return "The counters ran for less than half of the time, so theirs are estimates."
    return ""


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value
