"""A PerfWatch of its own in a temporary folder, with the processes that sample."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent


class Installation:
    """The processes by name, and the SQLite file that they write."""

    def __init__(self, directory: Path, redis_url: str) -> None:
        self.database = directory / "perfwatch.sqlite3"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PERFWATCH_ENV_FILE": "",
            "PERFWATCH_DATA_DIR": str(directory),
            "REDIS_URL": redis_url,
        }
        self.processes: dict[str, psutil.Popen] = {}

    def manage(self, *arguments: str) -> None:
        """Run one of manage.py's commands to its end."""
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)

    def start(self, name: str, *arguments: str) -> None:
        """Start a Python process."""
        command = [sys.executable, *arguments]
        self.processes[name] = psutil.Popen(command, cwd=ROOT, env=self.environment)

    def query(self, sql: str) -> list[tuple]:
        """Return the rows of a query."""
        with sqlite3.connect(self.database, timeout=20) as connection:
            return connection.execute(sql).fetchall()

    def set_interval(self, seconds: int) -> None:
        """Set the sampling interval as the settings page does: in the table."""
        value = json.dumps({"interval_seconds": seconds})
        self.query(f"UPDATE config SET value = '{value}' WHERE key = 'sampling'")

    def wait_for_samples(self, count: int = 1, patience: float = 30) -> None:
        """Return when there are `count` more samples than now."""
        before = self.count()
        deadline = time.monotonic() + patience
        while self.count() < before + count:
            if time.monotonic() > deadline:
                sys.exit("No sample came.")
            time.sleep(0.1)

    def count(self) -> int:
        """Return the number of snapshots."""
        return self.query("SELECT count(*) FROM metrics_snapshot")[0][0]


@contextmanager
def sampling(interval: int, redis_url: str = "") -> Iterator[Installation]:
    """Sample at `interval` seconds: in one process, or with Redis by beat and sampler."""
    with tempfile.TemporaryDirectory(prefix="perfwatch-bench-") as directory:
        installation = Installation(Path(directory), redis_url)
        installation.manage("migrate", "--verbosity", "0")
        installation.set_interval(interval)
        installation.start("sampler", "manage.py", "sampler")
        if redis_url:
            installation.start("beat", "-m", "celery", "-A", "perfwatch_site", "-q", "beat")
        try:
            installation.wait_for_samples(2, patience=30 + 2 * interval)
            yield installation
        finally:
            for process in installation.processes.values():
                process.send_signal(signal.SIGTERM)
            for process in installation.processes.values():
                process.wait(10)
