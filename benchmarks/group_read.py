"""What reading performance counters costs: `python benchmarks/group_read.py`.

Prints a Markdown table of CPU time (user and system) of the thread that reads: one group of events
on one CPU, and all events on more and more CPUs, as each sample reads them. More CPUs than there
are stand for larger hosts: their events are counted on those that are here. Groups of the CPUs' own
events are among them where this machine counts those. Between two turns nothing is done for a
while, as between two samples; with `--pause 0` all caches are warm.

A second table says, with warm caches, what one read of a group takes from the CPU that counts and
from another one, which the kernel has to interrupt, and what of it is the system call.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from metrics.kernel import perf
from metrics.kernel.host import Host
from metrics.kernel.perf_table import EVENTS, SOFTWARE, Event

CPUS = (1, 2, 4, 16, 64)

Read = Callable[[], perf.Counts]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--pause", type=float, default=0.02, metavar="S", help="before each turn")
    options = parser.parse_args()
    open_event, here = perf.open_event, sorted(os.sched_getaffinity(0))
    perf.open_event = lambda event, cpu, leader, pmu: open_event(
        event, here[cpu % len(here)], leader, pmu
    )
    turns = {}
    for group in dict.fromkeys(event.group for event in EVENTS):
        events = [event for event in EVENTS if event.group == group]
        read = reader(events, 1)
        if len(read().groups) == 1 and not read().missing:
            turns[f"group “{group}”, {len(events)} events, 1 CPU"] = read
    if not turns:
        sys.exit("This user may count nothing: `manage.py doctor` says why.")
    for count in CPUS:
        turns[f"all events, {count} CPU{'s' * (count > 1)}"] = reader(EVENTS, count)
    missing = turns["all events, 1 CPU"]().missing
    if all(event.name in missing for event in EVENTS if event.type != SOFTWARE):
        print("The kernel's events only: this machine shows none of the CPUs' own.\n")
    print("| CPU µs | median | p95 |\n|---|---|---|")
    for name, seconds in measure(turns, options.rounds, options.pause).items():
        p95 = statistics.quantiles(seconds, n=20)[-1]
        print(f"| {name} | {statistics.median(seconds) * 1e6:.1f} | {p95 * 1e6:.1f} |")
    print("\n| one read, warm, CPU µs | median | of it read(2) |\n|---|---|---|")
    for group in dict.fromkeys(event.group for event in EVENTS):
        print_places([event for event in EVENTS if event.group == group], here)


def print_places(events: Sequence[Event], here: list[int]) -> None:
    """Print a row for reading where a group is counted, and one for reading it from elsewhere."""
    group = perf._Group()
    try:
        for event in events:
            group.add(event, 0, event.type)
    except OSError:
        return
    calls: dict[str, Callable[[], object]] = {
        "read": group.read,
        "system call": lambda: os.read(group.descriptors[0], 8 * (3 + len(events))),
    }
    for place, cpus in (("where it is counted", here[:1]), ("from another CPU", here[1:])):
        if not cpus:
            continue
        os.sched_setaffinity(0, cpus)
        costs = measure(calls, 4_000, 0)
        read, call = (statistics.median(costs[name]) * 1e6 for name in calls)
        print(f"| group “{events[0].group}”, {place} | {read:.1f} | {call:.1f} |")
    os.sched_setaffinity(0, here)


def reader(events: Sequence[Event], count: int) -> Read:
    """Return what reads these events on so many CPUs; they are open already."""
    counters, cpus = perf.Counters(Host(), events), frozenset(range(count))
    counters.read(cpus)
    return lambda: counters.read(cpus)


def measure(turns: dict[str, Read], rounds: int, pause: float) -> dict[str, list[float]]:
    """Return the CPU seconds of each turn, by name."""
    costs: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            if pause:
                time.sleep(pause)
            started = time.thread_time()
            turn()
            costs[name].append(time.thread_time() - started)
    return costs


if __name__ == "__main__":
    main()
