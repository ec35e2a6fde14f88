"""What one sample costs: `python benchmarks/sample_cost.py --samples 400`.

Prints a Markdown table of CPU time (user and system) per sample: of PerfWatch, of each of its
collectors, and of psutil for what it offers of the same document, all of them by turns in one
process, so that a slow moment of the machine hits all alike. Between two turns nothing is done
for a while, as between two samples.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from metrics.collectors import COLLECTORS
from metrics.kernel import perf, sysfs
from metrics.kernel.host import Host
from metrics.sampling import Sampler
from metrics.tests.other_machines import CARDS, CPUS, DISKS, large_machine, pass_by

# Every 30 s, and its cost is that of the processes: a row of its own.
EVERY_SAMPLE = [one for one in COLLECTORS if one.name != "processes"]
PROCESSES = [one for one in COLLECTORS if one.name == "processes"]
# Those of which psutil knows something, with TCP counts, which it does not have without a walk.
KNOWN_TO_PSUTIL = [one for one in COLLECTORS if one.name in {"cpu", "memory", "network", "disk"}]


def psutil_at_each_sample() -> None:
    """Ask psutil for all that PerfWatch reads anew for each sample and psutil knows."""
    psutil.cpu_times_percent()
    psutil.cpu_times_percent(percpu=True)
    psutil.cpu_stats()
    psutil.cpu_count()
    psutil.getloadavg()
    psutil.virtual_memory()
    psutil.swap_memory()
    psutil.net_io_counters(pernic=True)
    psutil.disk_io_counters(perdisk=True)
    for partition in psutil.disk_partitions():
        psutil.disk_usage(partition.mountpoint)
    psutil.boot_time()


def psutil_with_slow_parts() -> None:
    """Ask also for what PerfWatch reads every 10 s only."""
    psutil_at_each_sample()
    psutil.cpu_freq()
    psutil.net_if_stats()
    psutil.sensors_temperatures()


def slow_parts() -> None:
    """Read what PerfWatch reads every 10 s, in threads of their own."""
    for read in (sysfs.frequency_mhz, sysfs.links, sysfs.temperature_celsius):
        read(Host())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--pause", type=float, default=0.02, metavar="S", help="before each turn")
    options = parser.parse_args()
    samplers = [Sampler(Host(), some) for some in (EVERY_SAMPLE, KNOWN_TO_PSUTIL, PROCESSES)]
    whole, known, processes = samplers
    with tempfile.TemporaryDirectory(prefix="perfwatch-bench-") as directory:
        large = Large(Path(directory))
        if not large.counts_events:
            print("Without performance events: this user may not count them.\n")
        turns = {
            "PerfWatch, one sample": whole.sample,
            "PerfWatch, only collectors of what psutil offers": known.sample,
            "psutil, what it offers of it": psutil_at_each_sample,
            "psutil, and frequency, link state, temperature": psutil_with_slow_parts,
            "PerfWatch, frequency, link state, temperature (every 10 s)": slow_parts,
            f"PerfWatch, {CPUS} CPUs, {DISKS} disks, {CARDS} interfaces": large.sampler.sample,
        }
        costs = measure(turns, options.samples, options.pause)
    looks = measure({"PerfWatch, all processes (every 30 s)": processes.sample}, 2, 0)
    print(table(costs | looks))
    for sampler in samplers:
        sampler.close()


class Large:
    """A made host of 256 CPUs; its performance events are counted on this machine's CPUs."""

    def __init__(self, directory: Path) -> None:
        open_event, here = perf.open_event, sorted(os.sched_getaffinity(0))
        perf.open_event = lambda event, cpu, leader, pmu: open_event(
            event, here[cpu % len(here)], leader
        )
        self.sampler = Sampler(large_machine(directory), EVERY_SAMPLE)
        document = self.sampler.sample().data
        perf.open_event = open_event
        self.counts_events = document["perf_events"]["available"]
        pass_by(directory)


def measure(
    turns: dict[str, Callable[[], object]], samples: int, pause: float
) -> dict[str, list[float]]:
    """Return the CPU seconds of this thread by name: sensors have threads of their own."""
    costs: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(samples):
        for name, turn in turns.items():
            time.sleep(pause)
            started = time.thread_time()
            turn()
            costs[name].append(time.thread_time() - started)
    return costs


def table(costs: dict[str, list[float]]) -> str:
    """Return the Markdown table; ratios are to the first row."""
    lines = ["| CPU µs per sample | median | p95 | ratio |", "|---|---|---|---|"]
    first = statistics.median(next(iter(costs.values())))
    for name, seconds in costs.items():
        median = statistics.median(seconds)
        p95 = statistics.quantiles(seconds, n=20)[-1]
        lines.append(f"| {name} | {median * 1e6:.0f} | {p95 * 1e6:.0f} | {median / first:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
