"""What sampling costs beside other monitors: `python benchmarks/beside_others.py --seconds 300`.

Starts PerfWatch as `make run` does (web server and supervisor included), node_exporter scraped by
Prometheus, Netdata, Glances (as a CSV writer) and a loop of `perf stat`, all at once and each with
its own defaults but for the interval, so that they share the same noise. Nobody looks at any of
their pages. Prints a row of a Markdown table for each: CPU seconds per minute of all its processes
with their children, proportional memory, what it wrote, and how much CPU it takes for each second
of PerfWatch's. Measured is what comes after 90 s, when each has done what it does every minute,
and over 5 minutes; what is done by the hour (PerfWatch cleans up, Prometheus compacts) is in none
of them. Prometheus scrapes node_exporter alone, not itself, as its own default would.
Programs that are not installed are left out and named;
Debian's packages are prometheus, prometheus-node-exporter, netdata-core, glances, redis-server
and linux-perf.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from installation import ROOT, Installation

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
WARM_UP = 90
EVENTS = "context-switches,cpu-migrations,page-faults,minor-faults,major-faults"

PROMETHEUS = """global: {{scrape_interval: {interval}s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
NETDATA = """[global]
  run as user = {user}
  update every = {interval}
[db]
  update every = {interval}
[directories]
  cache = {folder}/cache
  lib = {folder}/lib
  log = {folder}/log
  home = {folder}/lib
[web]
  bind to = 127.0.0.1:{port}
[registry]
  enabled = no
"""


class Cost(NamedTuple):
    """What some processes have used: CPU seconds and bytes written; bytes of memory now."""

    cpu: float
    written: int
    memory: int


def cost(roots: list[psutil.Process]) -> Cost:
    """Add up the processes and all below them; those that ended count with their parents."""
    cpu, written, memory = 0.0, 0, 0
    for process in {one for root in roots for one in (root, *root.children(recursive=True))}:
        try:
            times = process.cpu_times()
            cpu += sum(times[:4])  # user, system, and those of children that were waited for
            written += process.io_counters().write_bytes
            memory += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return Cost(cpu, written, memory)


def free_ports(count: int) -> list[int]:
    """Return loopback ports that nobody uses at the moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running(*commands: list[str]) -> Iterator[list[psutil.Process]]:
    """Run programs, silent, and stop them and all below them."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [psutil.Popen(one, env=os.environ | {"PATH": PATH}, **quiet) for one in commands]
    try:
        yield list(started)
    finally:
        everything = [one for root in started for one in (root, *root.children(recursive=True))]
        for one in everything:
            one.terminate()
        _, alive = psutil.wait_procs(everything, 10)
        for one in alive:
            one.kill()


@contextmanager
def perfwatch(interval: int, redis_url: str = "") -> Iterator[list[psutil.Process]]:
    """Run what `make run` runs: supervisor, web server, and what samples."""
    with tempfile.TemporaryDirectory(prefix="perfwatch-bench-") as folder:
        installation = Installation(Path(folder), redis_url)
        installation.environment["PERFWATCH_PORT"] = str(free_ports(1)[0])
        installation.manage("migrate", "--verbosity", "0")
        installation.set_interval(interval)
        serve = psutil.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=ROOT,
            env=installation.environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            installation.wait_for_samples(2, patience=60 + 2 * interval)
            yield [serve]
        finally:
            serve.terminate()
            serve.wait(20)


@contextmanager
def perfwatch_with_redis(interval: int) -> Iterator[list[psutil.Process]]:
    [port] = free_ports(1)
    # As compose.yaml starts it.
    redis = ["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1", "--hz", "1"]
    with (
        running(redis) as servers,
        perfwatch(interval, f"redis://127.0.0.1:{port}/0") as processes,
    ):
        yield [*servers, *processes]


@contextmanager
def prometheus(interval: int) -> Iterator[list[psutil.Process]]:
    exporter, server = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="prometheus-bench-") as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(PROMETHEUS.format(interval=interval, port=exporter))
        with running(
            ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{exporter}"],
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{server}",
            ],
        ) as processes:
            yield processes


@contextmanager
def netdata(interval: int) -> Iterator[list[psutil.Process]]:
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="netdata-bench-") as folder:
        for name in ("cache", "lib", "log"):
            Path(folder, name).mkdir()
        config = Path(folder, "netdata.conf")
        user = psutil.Process().username()
        config.write_text(NETDATA.format(interval=interval, folder=folder, port=port, user=user))
        pid = ["-P", f"{folder}/netdata.pid"]
        with running(["netdata", "-D", "-c", str(config), *pid]) as processes:
            yield processes


@contextmanager
def glances(interval: int) -> Iterator[list[psutil.Process]]:
    with tempfile.TemporaryDirectory(prefix="glances-bench-") as folder:
        export = ["--export", "csv", "--export-csv-file", f"{folder}/glances.csv"]
        with running(["glances", "-q", "-t", str(interval), *export]) as processes:
            yield processes


@contextmanager
def perf_stat(interval: int) -> Iterator[list[psutil.Process]]:
    count = f"perf stat -a -x, -e {EVENTS} -o /dev/null -- sleep {interval}"
    with running(["sh", "-c", f"while :; do {count}; done"]) as processes:
        yield processes


MONITORS = {
    "PerfWatch": (perfwatch, ()),
    "PerfWatch, Redis, beat, sampler, worker": (perfwatch_with_redis, ("redis-server",)),
    "node_exporter and Prometheus": (prometheus, ("prometheus", "prometheus-node-exporter")),
    "Netdata": (netdata, ("netdata",)),
    "Glances, CSV": (glances, ("glances",)),
    "perf stat for each sample": (perf_stat, ("perf",)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    parser.add_argument("--intervals", type=int, nargs="+", default=[5, 1])
    options = parser.parse_args()
    os.environ["PATH"] = PATH
    print("| monitor | interval | CPU s/min | memory MB | written KB/min | CPU, PerfWatch = 1 |")
    print("|---|---|---|---|---|---|")
    for interval in options.intervals:
        for row in rows(interval, options.warm_up, options.seconds):
            print(row, flush=True)


def rows(interval: int, warm_up: int, seconds: int) -> Iterator[str]:
    """Run all monitors at once and yield a row for each."""
    with ExitStack() as stack:
        roots = {}
        for name, (monitor, programs) in MONITORS.items():
            missing = [one for one in programs if shutil.which(one, path=PATH) is None]
            if missing:
                print(f"{name} is left out: there is no {', '.join(missing)}.", file=sys.stderr)
            else:
                roots[name] = stack.enter_context(monitor(interval))
        time.sleep(warm_up)
        before = {name: cost(processes) for name, processes in roots.items()}
        began = time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - began) / 60
        after = {name: cost(processes) for name, processes in roots.items()}
    used = {name: (after[name].cpu - before[name].cpu) / minutes for name in roots}
    for name in roots:
        written = (after[name].written - before[name].written) / minutes / 1e3
        yield (
            f"| {name} | {interval} s | {used[name]:.3f} | {after[name].memory / 1e6:.0f}"
            f" | {written:.0f} | {used[name] / used['PerfWatch']:.2f} |"
        )


if __name__ == "__main__":
    main()
