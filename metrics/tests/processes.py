"""Real PerfWatch processes on the database of the test."""

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from django.db import connection

from metrics.models import Config, MetricsSnapshot
from perfwatch_site.tests.workplace import start_server, stop_server

ROOT = Path(__file__).resolve().parents[2]


def database_url():
    """The URL of the database that the test itself uses."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    login = f"{settings['USER']}:{settings['PASSWORD']}"
    return f"postgres://{login}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


class Processes:
    """Starts processes with an environment of their own, and stops them all at the end."""

    def __init__(self, directory, **environment):
        self.directory = directory
        self.environment = os.environ | {
            "PERFWATCH_DATA_DIR": str(directory / "data"),
            "DATABASE_URL": database_url(),
            **environment,
        }
        self._stack = ExitStack()

    def start(self, *arguments):
        process = start_server(
            [sys.executable, *arguments], log=self.log, env=self.environment, cwd=ROOT
        )
        self._stack.callback(stop_server, process)
        return process

    def start_sampling(self):
        """Start what samples: one process, or with Redis sampler and beat."""
        started = [self.start("manage.py", "sampler")]
        if self.environment.get("REDIS_URL"):
            started.append(self.start("-m", "celery", "-q", "-A", "perfwatch_site", "beat"))
        return started

    @property
    def log(self):
        return self.directory / "log"

    def close(self):
        self._stack.close()


def set_interval(seconds):
    Config(key="sampling", value={"interval_seconds": seconds}).save()


def times():
    """When the stored samples were taken, in seconds of the epoch."""
    rows = MetricsSnapshot.objects.order_by("id").values_list("timestamp", flat=True)
    return [timestamp.timestamp() for timestamp in rows]


def wait_for_samples(count, limit=20):
    """Wait until so many more samples are stored."""
    wanted = MetricsSnapshot.objects.count() + count
    deadline = time.monotonic() + limit
    while MetricsSnapshot.objects.count() < wanted:
        assert time.monotonic() < deadline, "no sample came"
        time.sleep(0.05)
