"""The whole product on servers of its own, which are stopped, frozen and started again."""

import http.cookiejar
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import psutil
import psycopg
import pytest

from perfwatch_site.tests.product import PASSWORD, USERNAME, Product
from perfwatch_site.tests.workplace import Workplace, port_answers, stop_server, wait_for

PROCESSES = ("gunicorn", "sampler", "beat", "worker")

PATIENCE = 60.0
"""Machines that test are slow and busy; what was measured on a quiet one is in the docs."""

TARGET = 15.0
"""So soon after its cause is gone a fault is over, where nothing else uses the machine."""

DISK_MB = 400

WHILE_READ = """
iptables --wait --insert "$@" || exit
echo
cat >/dev/null
iptables --wait --delete "$@"
"""
"""Drops packets until its standard input ends, which it also does when pytest is killed."""


def ages(count):
    """Seconds: a process is killed while it samples, while it starts, and at any other time."""
    return [number * 5 % 13 * 0.37 for number in range(1, count + 1)]


class Server(Workplace):
    """One server, which is stopped, started again on its port, frozen, cut off and filled up."""

    disk = None

    def make(self, name):
        """Make a folder, on a small disk of its own where such can be made."""
        path = super().make(name)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "perfwatch-tests", path]
        if os.getuid() == 0 and not subprocess.call(mount, stderr=subprocess.DEVNULL):
            self.disk = path
        return path

    def serve(self, command, **options):
        self._again = partial(super().serve, command, **options)
        return self._again()

    def started_by(self, start):
        """Start it, and remember its URL and port."""
        self.url = start(self)
        self.port = urllib.parse.urlsplit(self.url).port
        return self

    def stop(self, number=signal.SIGINT):
        stop_server(self._servers.pop(), number)

    def start(self):
        self._again()
        assert wait_for(partial(port_answers, self.port))

    @contextmanager
    def frozen(self):
        """Neither refuses nor answers, like a host behind a cable that was cut."""
        (server,) = self._servers
        everything = [psutil.Process(server.pid)]
        everything += everything[0].children(recursive=True)
        for one in everything:
            one.suspend()
        try:
            yield
        finally:
            for one in everything:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    @contextmanager
    def cut_off(self):
        """Drops each packet to it: connecting ends no sooner than speaking."""
        rule = f"INPUT -i lo -p tcp --dport {self.port} -j DROP".split()
        with subprocess.Popen(
            ["/bin/sh", "-c", WHILE_READ, "sh", *rule],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as dropping:
            if not dropping.stdout.readline():
                pytest.skip("packets can be dropped by root with iptables only")
            yield

    @contextmanager
    def full(self):
        """No room is left on its disk."""
        if not self.disk:
            pytest.skip("a small disk can be made by root only")
        ballast = self.disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(2**20))
        try:
            yield
        finally:
            ballast.unlink()


class Row(NamedTuple):
    """A stored sample: id, when it was taken, the tick it belongs to, what it says of itself."""

    id: int
    at: float
    tick: int
    sampler: dict


class Installation(Product):
    """PerfWatch as `make run` starts it, sampling every second."""

    def __init__(self, directory, patience=PATIENCE, **environment):
        super().__init__(directory)
        self.patience = patience
        self.environment |= environment
        self.manage("migrate", "--verbosity", "0")
        self.execute(
            """UPDATE config SET value = '{"interval_seconds": 1}' WHERE key = 'sampling'"""
        )

    @property
    def log(self):
        return (self.directory / "log").read_text()

    def execute(self, sql):
        url = self.environment.get("DATABASE_URL")
        if not url:
            return self.query(sql)
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def rows(self, newest=10**9):
        """The stored samples by id, or only the newest of them."""
        url = self.environment.get("DATABASE_URL")
        rows = self.execute(
            "SELECT id, extract(epoch FROM timestamp)::float, (metric_data->'sampler')::text "
            f"FROM metrics_snapshot ORDER BY id DESC LIMIT {newest}"
            if url
            else "SELECT id, unixepoch(substr(timestamp, 1, 19)) + ('0.' || "
            "substr(timestamp || '.000', 21, 3)), json_extract(metric_data, '$.sampler') "
            f"FROM metrics_snapshot ORDER BY id DESC LIMIT {newest}"
        )
        found = []
        for id, at, text in reversed(rows):
            sampler = json.loads(text)
            found.append(Row(id, at, round(at - sampler["lateness_ms"] / 1000), sampler))
        return found

    def samples_after(self, moment, count=2):
        """Wait until so many samples are stored that were taken after a moment; say how long."""
        last = None

        def there(count):
            nonlocal last
            with suppress(psycopg.OperationalError, sqlite3.OperationalError):
                last = self.rows(newest=100)
                return sum(row.at > moment for row in last) >= count
            return False

        resumed = wait_for(partial(there, 1), self.patience)
        print(f"a sample is stored after {time.time() - moment:.1f} s")
        assert resumed, f"{last and last[-3:]}\n{self.log[-3000:]}"
        assert wait_for(partial(there, count), self.patience), self.log[-3000:]

    def processes(self):
        """The processes that the supervisor keeps, by name."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                words = child.cmdline()
                found |= {name: child for name in PROCESSES if name in words}
        return found

    def kill(self, name, age=0):
        """Kill a process, so many seconds after it is there."""
        process = wait_for_process(self, name)
        time.sleep(age)
        with suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(10)

    def spooled(self):
        """What the sampler says of its spool, in its file: no web server is needed."""
        return json.loads((self.directory / "data" / "spool-status.json").read_text())

    def ready(self):
        """What /readyz says."""
        try:
            with urllib.request.urlopen(self.url + "/readyz", timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def browser(self):
        """A person who is logged in: a function that gets a path, as status and text."""
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

        def get(path, data=None):
            try:
                with opener.open(self.url + path, data, timeout=40) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        _, form = get("/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
        fields = {"username": USERNAME, "password": PASSWORD, "csrfmiddlewaretoken": token}
        status, text = get("/login/", urllib.parse.urlencode(fields).encode())
        assert status == 200
        assert "<h1" in text
        return get

    def check_samples(self, restarts=0):
        """None lost but at the restarts of the sampler, none doubled, all in order."""
        rows = self.rows()
        identities = Counter(row.sampler["id"] for row in rows)
        assert max(identities.values()) == 1
        assert all(a.at < b.at for a, b in pairwise(rows)), "not in order"
        assert {row.sampler["dropped"] for row in rows} == {0}
        firsts = [row for row in rows if row.sampler["missed_ticks"] is None]
        assert len(firsts) <= 1 + restarts, firsts
        for before, row in pairwise(rows):
            left_out = row.sampler["missed_ticks"]
            if left_out is not None:
                # Without database a new sampler begins with the interval that is the default.
                longer = max(one.sampler["interval_seconds"] for one in (before, row))
                ticks = (row.tick - before.tick) // longer
                assert ticks - 1 <= left_out, f"lost between {before} and {row}"
        assert "Traceback" not in self.log
        return rows


def wait_for_process(installation, name):
    found = []
    assert wait_for(lambda: found.append(installation.processes().get(name)) or found[-1])
    return found[-1]


@contextmanager
def installed(directory, soak, launcher=(), **environment):
    """An installation that runs, and ends with the test."""
    installation = Installation(directory, TARGET if soak else PATIENCE, **environment)
    installation.launcher = launcher
    try:
        installation.start()
        installation.samples_after(time.time())
        yield installation
    finally:
        if installation.process:
            installation.stop()


@contextmanager
def server(start):
    """A server of the test's own."""
    with closing(Server()) as place:
        yield place.started_by(start)
