"""The whole product, started as a user starts it, and a browser in front of it."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from perfwatch_site.tests.workplace import free_port, start_server, stop_server, wait_for

ROOT = Path(__file__).resolve().parents[2]
USERNAME = "admin"
PASSWORD = "correct horse battery"
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Product:
    """`manage.py serve` with a data folder of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.url = f"http://127.0.0.1:{free_port()}"
        self.environment = os.environ | {
            "PERFWATCH_DATA_DIR": str(directory / "data"),
            "PERFWATCH_PORT": self.url.rpartition(":")[2],
            "PERFWATCH_ADMIN_PASSWORD": PASSWORD,
        }
        self.launcher = []
        self.process = None

    def start(self):
        command = [*self.launcher, sys.executable, "manage.py", "serve"]
        self.process = start_server(
            command, log=self.directory / "log", env=self.environment, cwd=ROOT
        )
        assert wait_for(self.answers), (self.directory / "log").read_text()

    def stop(self, number=signal.SIGTERM):
        self.signal_sampler(signal.SIGCONT)
        stop_server(self.process, number)

    @property
    def database(self):
        return self.directory / "data" / "perfwatch.sqlite3"

    def query(self, sql, *values):
        connection = sqlite3.connect(self.database, timeout=20)
        with connection:
            found = connection.execute(sql, values).fetchall()
        connection.close()
        return found

    def manage(self, *arguments):
        """Run one of manage.py's commands and return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout

    def sample(self):
        """Return a document of this host, rates included."""
        return json.loads(
            self.manage("sample", "--count", "2", "--interval", "0.1").splitlines()[-1]
        )

    def signal_sampler(self, number):
        """SIGSTOP lets the sampler wait: then all rows are a test's own. SIGCONT ends that."""
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                if "sampler" in child.cmdline():
                    child.send_signal(number)

    def answers(self):
        return self.status("/healthz") == 200

    def status(self, path):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None


class Watched:
    """A page whose console is read: whatever it complains about is kept."""

    def __init__(self, page):
        self.page = page
        self.complaints = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))

    def _console(self, message):
        if message.type in {"error", "warning"}:
            where = message.location.get("url", "")
            self.complaints.append(f"{message.type}: {message.text} {where}".strip())


@contextmanager
def browser(path):
    """Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        try:
            yield chromium
        finally:
            chromium.close()


class FastForward:
    """For `page.route`: each poll brings a sample that is a second younger than the one before.

    So hours of a page pass in minutes. `window` is how much of them it holds, in ms.
    """

    POINTS = re.compile(r'(<script id="points" type="application/json">)(.*?)(</script>)', re.S)

    def __init__(self, window):
        self.window = window
        self.now = self.answer = None

    def __call__(self, route):
        if not self.answer:
            answer = route.fetch()
            self.answer = answer.text()
        text = self.POINTS.sub(self._later, self.answer)
        route.fulfill(body=text, content_type="text/html; charset=utf-8")

    def _later(self, match):
        points = json.loads(match[2])
        self.now = (self.now or points["now"]) + 1000
        value = self.now // 1000 * 7919 % 89
        series = {name: [value] for name in points["series"]}
        points |= {"now": self.now, "times": [self.now], "series": series, "window": self.window}
        return match[1] + json.dumps(points) + match[3]


def memory(tools):
    """Return the bytes of the heap, DOM nodes and listeners of a page, by its tools."""
    for _ in range(3):
        tools.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    return found["JSHeapUsedSize"], found["Nodes"], found["JSEventListeners"]


def log_in(page, url, password=PASSWORD):
    """Fill the login form."""
    page.goto(f"{url}/login/")
    page.fill("[name=username]", USERNAME)
    page.fill("[name=password]", password)
    page.click("button.primary")
    page.wait_for_load_state()


def eventually(read, wanted, limit=15.0):
    """Return once `wanted(read())` is true; Playwright needs its loop to go on meanwhile."""
    deadline = time.monotonic() + limit
    while not wanted(value := read()):
        assert time.monotonic() < deadline, f"still {value!r}"
        time.sleep(0.1)
    return value
