"""A database of a benchmark's own, SQLite or PostgreSQL, and what reading it costs."""

import argparse
import gc
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from perfwatch_site.tests.own_servers import start_postgresql
from perfwatch_site.tests.workplace import Workplace, port_answers, stop_server, wait_for

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = {"seconds": 2.0}
"""How long a run is repeated, to find the fastest."""


def options(description: str | None) -> argparse.Namespace:
    """Return what a benchmark was asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--cores", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    asked = parser.parse_args()
    if asked.quick:
        PATIENCE["seconds"] = 0.0
    return asked


def heading(title: str) -> None:
    """Print a heading, with the machine's load: other work makes numbers worse."""
    from django.db import connection

    print(f"\n### {connection.display_name}: {title}")
    print(f"\nLoad {os.getloadavg()[0]:.1f}, {time.strftime('%H:%M:%S')}.\n", flush=True)


class Cost(NamedTuple):
    """Of one run: seconds, MB read from disk (None where nobody may know), MB of memory."""

    seconds: float
    read: float | None
    memory: float


class Place(Workplace):
    """A folder of its own, and a server that can be started anew with nothing in its memory."""

    def serve(self, command: list[str], **options: Any) -> Any:
        """Start a server, and remember how."""
        self._serve = partial(super().serve, command, **options)
        return self._serve()

    def forget(self) -> None:
        """Have nothing of the database in memory: neither the server's nor the kernel's."""
        server = self._servers.pop() if self._servers else None
        if server:
            stop_server(server, signal.SIGINT)  # at once, but all is written
        for path in self.folder.rglob("*"):
            if path.is_file():
                descriptor = os.open(path, os.O_RDONLY)
                os.fsync(descriptor)  # what is not written yet cannot be dropped
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
        if server:
            port = int(server.args[server.args.index("-p") + 1])
            self._serve()
            wait_for(partial(port_answers, port))

    def cpu(self) -> float:
        """Return the CPU seconds of this process and of the server's that serves it."""
        from django.db import connection

        spent = time.process_time()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                spent += sum(psutil.Process(cursor.fetchone()[0]).cpu_times()[:2])
        return spent

    def servers(self) -> list[int]:
        """Return the ids of the servers' processes."""
        return [one.pid for one in self._servers]


@contextmanager
def database(vendor: str) -> Iterator[Place]:
    """Set Django up on an empty SQLite file or on a PostgreSQL of our own."""
    place = Place()
    try:
        os.environ["PERFWATCH_ENV_FILE"] = ""
        os.environ["PERFWATCH_DATA_DIR"] = str(place.make("data"))
        os.environ["PERFWATCH_SLOW_QUERY_MS"] = "3600000"  # slow ones are the subject
        os.environ.pop("DATABASE_URL", None)
        os.environ.pop("REDIS_URL", None)
        if vendor == "postgresql":
            # pytest would make the database that the URL names; this one is always there.
            os.environ["DATABASE_URL"] = start_postgresql(place).rpartition("/")[0] + "/postgres"
        os.environ["DJANGO_SETTINGS_MODULE"] = "perfwatch_site.settings"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield place
    finally:
        from django.db import connections

        connections.close_all()
        place.close()


def fastest(run: Callable[[], object], most: int = 15) -> float:
    """Return the seconds of the fastest of some runs; what takes long runs once."""
    found: list[float] = []
    while not found or (len(found) < most and sum(found) < PATIENCE["seconds"]):
        found.append(once(run))
    return min(found)


def cheapest(place: Place, run: Callable[[], object], times: int = 5) -> float:
    """Return the CPU seconds, the server's included, of the cheapest of some runs."""
    found = []
    for _ in range(times if PATIENCE["seconds"] else 1):
        # Of another process CPU time is told in hundredths of a second.
        before = place.cpu()
        for _ in range(4):
            run()
        found.append((place.cpu() - before) / 4)
    return min(found)


def once(run: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def cold(place: Place, command: list[str]) -> Cost:
    """Return what a process of its own says of a run when nothing of the database is in memory.

    The process calls `report`.
    """
    from django.db import connections

    connections.close_all()
    place.forget()
    servers = ",".join(map(str, place.servers()))
    done = subprocess.run(
        [sys.executable, *command, "--servers", servers],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    return Cost(*json.loads(done.stdout))


def report(servers: list[int], run: Callable[[], object]) -> None:
    """Do a run, and print its cost for `cold`."""
    from django.db import connection

    connection.ensure_connection()
    gc.collect()
    read, memory = _bytes_read(servers), _status("VmRSS")
    seconds = once(run)
    after = _bytes_read(servers)
    read_mb = None if read is None or after is None else (after - read) / 1e6
    print(json.dumps(Cost(seconds, read_mb, (_status("VmHWM") - memory) / 1e3)))


def _bytes_read(servers: list[int]) -> int | None:
    """Return what this process and servers with their children have read from disk."""
    found = [psutil.Process(), *map(psutil.Process, servers)]
    found += [child for one in found[1:] for child in one.children(recursive=True)]
    try:
        return sum(one.io_counters().read_bytes for one in found)
    except psutil.AccessDenied:  # a server that runs as somebody else
        return None


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    return int(found[1]) if found else 0


def empty() -> None:
    """Empty the tables that samples fill, and give their room back."""
    from django.core.management import call_command

    from metrics.models import Config, MetricsSnapshot, Rollup

    for model in (MetricsSnapshot, Rollup):
        model.objects.all()._raw_delete("default")
    Config.objects.filter(key="rollup_state").delete()
    call_command("maintain", "compact", "--yes", stdout=io.StringIO())


def roll_up(now: Any) -> None:
    """Roll up all there is."""
    from metrics import rollups

    while rollups.step(now, rollups.LARGE):
        pass
