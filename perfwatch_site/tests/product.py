"""The whole product, started as a user starts it, and a browser in front of it."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

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
        self.process = None

    def start(self):
        command = [sys.executable, "manage.py", "serve"]
        self.process = start_server(
            command, log=self.directory / "log", env=self.environment, cwd=ROOT
        )
        assert wait_for(self.answers), (self.directory / "log").read_text()

    def stop(self, number=signal.SIGTERM):
        stop_server(self.process, number)

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
