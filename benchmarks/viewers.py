"""What many viewers cost: `python benchmarks/viewers.py --viewers 50 --seconds 60`.

Runs the whole product with a sample every 5 s. Viewers poll every 5 s, each for what came since its
last poll, as the live page does; then as fast as they are answered. Prints the times of the answers
(median, 99th percentile), requests per second, and the memory of the web server's processes.
"""

import argparse
import http.client
import re
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from perfwatch_site.tests import product as whole

PERIOD = 5.0
FAST_SECONDS = 10


class Product(whole.Product):
    """The whole product, and one request at a time."""

    def get(self, path: str, session: str) -> str:
        """Return what is at a path, in a connection of its own."""
        request = urllib.request.Request(self.url + path, headers={"Cookie": session})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perfwatch-viewers-") as directory:
        product = Product(Path(directory))
        try:
            product.start()
            session = cookie(product)
            wait_for_samples(product, 3)
            start = web_cpu(product)
            polled = times(product, session, options.viewers, options.seconds, PERIOD)
            middle = web_cpu(product)
            fast = times(product, session, 8, FAST_SECONDS, 0.0)
            end = web_cpu(product)
            memory = web_memory(product)
        finally:
            product.stop()
    print("| | answers | median ms | 99 % ms | a second | CPU ms each |")
    print("|---|---|---|---|---|---|")
    name = f"{options.viewers} viewers, every {PERIOD:.0f} s"
    print(row(name, polled, options.seconds, middle - start))
    print(row("8, without a pause", fast, FAST_SECONDS, end - middle))
    print(f"\nThe web server's processes take {memory:.0f} MB.")


def row(name: str, took: list[float], seconds: int, cpu: float) -> str:
    """Return a row of the table."""
    p99 = statistics.quantiles(took, n=100)[98] * 1000
    median = statistics.median(took) * 1000
    rate, each = len(took) / seconds, cpu / len(took) * 1000
    return f"| {name} | {len(took)} | {median:.1f} | {p99:.1f} | {rate:.0f} | {each:.1f} |"


def cookie(product: Product) -> str:
    """Log in and return the Cookie header of the session."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = opener.open(f"{product.url}/login/").read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    fields = {"username": whole.USERNAME, "password": whole.PASSWORD}
    fields["csrfmiddlewaretoken"] = token[1] if token else ""
    opener.open(f"{product.url}/login/", urllib.parse.urlencode(fields).encode())
    return "; ".join(f"{one.name}={one.value}" for one in jar)


def wait_for_samples(product: Product, count: int) -> None:
    """Return when that many samples are stored."""
    while product.query("SELECT count(*) FROM metrics_snapshot")[0][0] < count:
        time.sleep(0.2)


def times(product: Product, session: str, viewers: int, seconds: int, period: float) -> list[float]:
    """Return how long the answers took, in seconds."""
    address = urllib.parse.urlsplit(product.url)
    page = product.get("/", session)
    path, first = query_of(page), cursor_of(page)
    took: list[float] = []
    deadline = time.monotonic() + seconds

    def view(number: int) -> None:
        time.sleep(period * number / viewers)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        cursor = first
        while time.monotonic() < deadline:
            started = time.monotonic()
            connection.request("GET", f"{path}&after={cursor}", headers={"Cookie": session})
            answer = connection.getresponse()
            text = answer.read().decode()
            took.append(time.monotonic() - started)
            if answer.status != 200:
                sys.exit(f"The answer was {answer.status}.")
            cursor = cursor_of(text)
            if period:
                connection.close()  # the server would, after 2 s; a browser opens another one
            time.sleep(max(0.0, started + period - time.monotonic()))

    threads = [threading.Thread(target=view, args=(number,)) for number in range(viewers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def query_of(page: str) -> str:
    """Return the address that the page polls: it names the devices that it draws."""
    asked = page.partition('<div id="asked">')[2].partition("</div>")[0]
    fields = re.findall(r'name="(\w+)" value="([^"]*)"', asked)
    return f"/live/?{urllib.parse.urlencode(fields)}"


def cursor_of(text: str) -> int:
    """Return the row up to which a page or a fragment has everything."""
    found = re.search(r'name="after" value="(\d+)"', text)
    return int(found[1]) if found else 0


def web_cpu(product: Product) -> float:
    """Return the CPU seconds that the web server's processes have taken."""
    children = psutil.Process(product.process.pid).children(recursive=True)
    web = [one for one in children if "gunicorn" in " ".join(one.cmdline())]
    return sum(sum(one.cpu_times()[:2]) for one in web)


def web_memory(product: Product) -> float:
    """Return the MB of the web server's processes: what they share counts once."""
    total = 0.0
    for one in psutil.Process(product.process.pid).children(recursive=True):
        if "gunicorn" in " ".join(one.cmdline()):
            total += one.memory_full_info().pss / 1e6
    return total


if __name__ == "__main__":
    main()
