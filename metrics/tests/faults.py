"""The whole product on servers of its own, which are stopped, frozen and started again."""

import http.cookiejar
import json
import re
import signal
import sqlite3
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

from perfwatch_site.tests.product import PASSWORD, USERNAME, Product
from perfwatch_site.tests.workplace import Workplace, port_answers, stop_server, wait_for

PROCESSES = ("gunicorn", "sampler", "beat", "worker")

PATIENCE = 60.0
"""Machines that test are slow and busy; what was measured on a quiet one is in the docs."""


class Server(Workplace):
    """One server, which can be stopped, started again on the same port, and frozen."""

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


class Row(NamedTuple):
    """A stored sample: id, when it was taken, the tick it belongs to, what it says of itself."""

    id: int
    at: float
    tick: int
    sampler: dict


class Installation(Product):
    """PerfWatch as `make run` starts it, sampling every second."""

    def __init__(self, directory, **environment):
        super().__init__(directory)
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

    def rows(self):
        url = self.environment.get("DATABASE_URL")
        rows = self.execute(
            "SELECT id, extract(epoch FROM timestamp)::float, (metric_data->'sampler')::text "
            "FROM metrics_snapshot ORDER BY id"
            if url
            else "SELECT id, unixepoch(substr(timestamp, 1, 19)) + ('0.' || "
            "substr(timestamp || '.000', 21, 3)), json_extract(metric_data, '$.sampler') "
            "FROM metrics_snapshot ORDER BY id"
        )
        found = []
        for id, at, text in rows:
            sampler = json.loads(text)
            found.append(Row(id, at, round(at - sampler["lateness_ms"] / 1000), sampler))
        return found

    def samples_after(self, moment, count=2, limit=PATIENCE):
        """Wait until so many samples are stored that were taken after a moment."""
        last = None

        def there():
            nonlocal last
            with suppress(psycopg.OperationalError, sqlite3.OperationalError):
                last = self.rows()
                return sum(row.at > moment for row in last) >= count
            return False

        assert wait_for(there, limit), f"{last and last[-3:]}\n{self.log[-3000:]}"

    def processes(self):
        """The processes that the supervisor keeps, by name."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                words = child.cmdline()
                found |= {name: child for name in PROCESSES if name in words}
        return found

    def kill(self, name):
        process = wait_for_process(self, name)
        with suppress(psutil.NoSuchProcess):
            process.kill()

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
    assert wait_for(lambda: name in installation.processes())
    return installation.processes()[name]


@contextmanager
def installed(directory, **environment):
    """An installation that runs, and ends with the test."""
    installation = Installation(directory, **environment)
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
