"""Sets of CPUs as the kernel writes them: "0-3,5"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from metrics.kernel.files import KernelFile, read_once
from metrics.kernel.host import Host


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list like "0-3,5". Raises ValueError when it is none."""
    numbers: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        numbers.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(numbers)


def format_cpus(cpus: Iterable[int]) -> str:
    """The shortest list of these CPUs; empty for none."""
    ranges: list[list[int]] = []
    for number in sorted(cpus):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


def online_cpus(host: Host) -> Callable[[], frozenset[int]]:
    """A reader of the CPUs that run now; it costs microseconds unless the set has changed."""
    file = KernelFile(host.sys("devices/system/cpu/online"))
    known = (b"", frozenset[int]())

    def read() -> frozenset[int]:
        nonlocal known
        text = file.read()
        if text != known[0]:
            known = (text, parse_cpus(text.decode("ascii", "replace")))
        return known[1]

    return read


def counter_types(host: Host) -> dict[int, int]:
    """The type of each CPU's counters, where CPUs differ (hybrid x86, big.LITTLE); else nothing.

    Only the counters of CPUs have a file `cpus`; those of other parts of a chip do not.
    """
    found: dict[int, int] = {}
    types: set[int] = set()
    for file in sorted(Path(host.sys("bus/event_source/devices")).glob("*/cpus")):
        number = read_once(str(file.with_name("type"))) or ""
        try:
            here = parse_cpus(read_once(str(file)) or "")
            found |= dict.fromkeys(here, int(number))
        except ValueError:
            continue
        types.add(int(number))
    return found if len(types) > 1 else {}
