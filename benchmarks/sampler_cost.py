"""What sampling costs: `python benchmarks/sampler_cost.py --seconds 120`.

Prints one row of a Markdown table per set-up and interval: CPU seconds per minute of all its
processes (user and system, start-up left out), their resident memory and what they wrote.
"""

import argparse
import time

from installation import sampling


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--intervals", type=int, nargs="+", default=[5, 1])
    parser.add_argument("--redis", default="", metavar="URL", help="measure with this Redis too")
    options = parser.parse_args()
    print("| set-up | interval | CPU s/min | RSS MB | written KB/min |")
    print("|---|---|---|---|---|")
    for interval in options.intervals:
        print(row("one process", interval, "", options.seconds), flush=True)
        if options.redis:
            print(row("Redis", interval, options.redis, options.seconds), flush=True)


def row(name: str, interval: int, redis_url: str, seconds: int) -> str:
    """Return the row of one set-up."""
    with sampling(interval, redis_url) as installation:
        processes = list(installation.processes.values())

        def used() -> float:
            return sum(one.cpu_times().user + one.cpu_times().system for one in processes)

        def written() -> int:
            return sum(one.io_counters().write_bytes for one in processes)

        started, cpu, bytes_before = time.monotonic(), used(), written()
        time.sleep(seconds)
        minutes = (time.monotonic() - started) / 60
        cpu, output = (used() - cpu) / minutes, (written() - bytes_before) / minutes / 1024
        memory = sum(one.memory_info().rss for one in processes) / 1e6
    return f"| {name} | {interval} s | {cpu:.3f} | {memory:.0f} | {output:.0f} |"


if __name__ == "__main__":
    main()
