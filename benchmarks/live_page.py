"""What the live page costs a browser: `python benchmarks/live_page.py`.

Starts a PerfWatch of its own, fills it with made samples (15 minutes at 5 s; the same of a host
with 256 CPUs, 40 disks and 30 interfaces; an hour at 1 s) and opens the page in Chromium,
1440 x 900, with an empty cache. Prints one row of a Markdown table for each. Times count from
the request on and are the median of `--runs`.
"""

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from metrics.tests.made_samples import Wandering, every, insert, many_devices  # noqa: E402
from perfwatch_site.tests.product import (  # noqa: E402
    FastForward,
    Product,
    browser,
    eventually,
    log_in,
    memory,
)

VIEWPORT = {"width": 1440, "height": 900}
SLOW = 4
POLLS_PER_MINUTE = 12
PARTS = ("loads", "heap")
UPDATES = 600
FULL_WINDOW = 320
MEASURED_EVERY = 100

# A frame that follows the one in which a chart got its data shows it.
WATCH = """
window.allDrawn = new Promise((resolve) => {
  const seen = {};
  const drawn = (one) => one.localName === "core-strip"
    ? one.points && one.canvas.width !== 300
    : one.chart?.data.datasets.some(({data}) => data.length);
  // Asking where things are makes the browser lay the page out, so only when another one is drawn.
  let last = 0;
  const look = () => {
    const charts = [...document.querySelectorAll("time-chart, core-strip")];
    const done = charts.filter(drawn).length;
    if (done) seen.first ??= performance.now();
    if (done > last) {
      last = done;
      const visible = charts.filter((one) => {
        const box = one.getBoundingClientRect();
        return box.bottom > 0 && box.top < innerHeight;
      });
      if (visible.every(drawn)) {
        seen.all = performance.now();
        seen.charts = visible.length;
        return resolve(seen);
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: "longtask" });
});
"""
POLL = """() => new Promise((done) => {
  const now = document.querySelector("#now");
  const settled = () => setTimeout(() => requestAnimationFrame(() => setTimeout(done, 150)), 0);
  now.addEventListener("htmx:afterSettle", settled, { once: true });
  now.dispatchEvent(new CustomEvent("perfwatch:poll"));
})"""
QUICK_POLL = POLL.replace("150", "0")


class Host(NamedTuple):
    """Which samples the page shows."""

    name: str
    many: bool
    seconds: int
    count: int
    range: str


HOSTS = (
    Host("15 min at 5 s", False, 5, 180, "15m"),
    Host("15 min at 5 s, many devices", True, 5, 180, "15m"),
    Host("1 h at 1 s", False, 1, 3_600, "1h"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    options = parser.parse_args()
    with visited(options.chromium) as (product, visitor):
        if "loads" in options.parts:
            print_loads(product, visitor, options.runs)
        if "heap" in options.parts:
            print_heap(product, visitor)


@contextmanager
def visited(chromium: str) -> Iterator[tuple[Product, "Visitor"]]:
    """Yield a product of one's own, whose sampler waits, and a visitor."""
    with tempfile.TemporaryDirectory(prefix="perfwatch-bench-") as directory:
        product = Product(Path(directory))
        product.environment = {
            name: value for name, value in product.environment.items() if name != "DATABASE_URL"
        } | {"PERFWATCH_ENV_FILE": "", "REDIS_URL": ""}
        product.start()
        try:
            counted = "SELECT count(*) FROM metrics_snapshot"
            eventually(lambda: product.query(counted), lambda n: n[0][0])
            product.signal_sampler(signal.SIGSTOP)
            with browser(chromium) as started:
                yield product, Visitor(started, product)
        finally:
            product.stop()


def print_loads(product: Product, visitor: "Visitor", runs: int) -> None:
    """Print a row for each host."""
    real = product.sample()
    print(
        "| samples | all visible s | 4x: first chart s | 4x: all visible s | 4x: longest task of an"
        " update ms | first visit KB | HTML KB | live KB/min |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for host in HOSTS:
        wandering = Wandering(many_devices(real) if host.many else real)
        product.query("DELETE FROM metrics_snapshot")
        product.query(
            "UPDATE config SET value = ? WHERE key = 'sampling'",
            json.dumps({"interval_seconds": host.seconds}),
        )
        insert(product.database, every(host.seconds, host.count, wandering))
        fast = [visitor.load(host.range) for _ in range(runs)]
        slow = [visitor.load(host.range, SLOW) for _ in range(runs)]
        longest, live = visitor.follow(host, product, wandering)

        def median(found: list[dict[str, float]], name: str) -> float:
            return statistics.median(one[name] for one in found)

        print(
            f"| {host.name} ({fast[0]['charts']:.0f} charts) | {median(fast, 'all') / 1000:.2f}"
            f" | {median(slow, 'first') / 1000:.2f} | {median(slow, 'all') / 1000:.2f}"
            f" | {longest:.0f} | {median(fast, 'bytes') / 1024:.0f}"
            f" | {median(fast, 'html') / 1024:.0f} | {live / 1024:.0f} |",
            flush=True,
        )


def print_heap(product: Product, visitor: "Visitor") -> None:
    """Print what the heap holds while the page goes on."""
    product.query("DELETE FROM metrics_snapshot")
    insert(product.database, every(5, 60, Wandering(product.sample())))
    print("\n| updates | heap MB | nodes | listeners |\n|---|---|---|---|")
    for updates, size, nodes, listeners in visitor.heap():
        print(f"| {updates} | {size / 1e6:.2f} | {nodes:.0f} | {listeners:.0f} |", flush=True)


class Visitor:
    """A person who is logged in, with an empty cache at each visit."""

    def __init__(self, chromium: Any, product: Product) -> None:
        self.chromium, self.url = chromium, product.url
        context = chromium.new_context()
        log_in(context.new_page(), product.url)
        self.session = context.storage_state()
        context.close()

    @contextmanager
    def page(self, slowdown: int = 1) -> Iterator[tuple[Any, Any]]:
        """Yield a page and its connection to the browser's tools."""
        context = self.chromium.new_context(viewport=VIEWPORT, storage_state=self.session)
        context.add_init_script(WATCH)
        page = context.new_page()
        tools = context.new_cdp_session(page)
        tools.send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        tools.send("Network.enable")
        yield page, tools
        context.close()

    def load(self, range: str, slowdown: int = 1) -> dict[str, float]:
        """Return ms until the first and until all visible charts are drawn, and bytes."""
        with self.page(slowdown) as (page, tools):
            sizes = Sizes(tools)
            page.goto(f"{self.url}/?range={range}&refresh=off", wait_until="commit")
            drawn = page.evaluate("allDrawn")
            page.wait_for_load_state("networkidle")
            return drawn | {"bytes": sizes.total, "html": sizes.largest_document}

    def follow(self, host: Host, product: Product, wandering: Wandering) -> tuple[float, float]:
        """Return the longest task in ms of a minute of new samples, and bytes per minute."""
        with self.page(SLOW) as (page, tools):
            page.goto(f"{self.url}/?range={host.range}&refresh=off", wait_until="commit")
            page.evaluate("allDrawn")
            page.wait_for_timeout(1500)
            page.evaluate("longest = 0")
            sizes = Sizes(tools)
            for _ in range(POLLS_PER_MINUTE):
                insert(
                    product.database,
                    [(now := datetime.now(UTC), wandering.next(now, host.seconds))],
                )
                page.evaluate(POLL)
            polls = 60 / max(host.seconds, 1) / POLLS_PER_MINUTE
            return page.evaluate("longest"), sizes.total * polls

    def heap(self) -> Iterator[tuple[int, float, float, float]]:
        """Yield updates, bytes of the heap, DOM nodes and listeners once the window is full."""
        with self.page() as (page, tools):
            page.route("**/live/**", FastForward(300_000))
            page.goto(f"{self.url}/?range=5m&refresh=off", wait_until="load")
            tools.send("Performance.enable")
            for update in range(FULL_WINDOW + UPDATES + 1):
                done = update - FULL_WINDOW
                if done >= 0 and done % MEASURED_EVERY == 0:
                    yield done, *memory(tools)
                page.evaluate(QUICK_POLL)


class Sizes:
    """Bytes that a page receives, as they come through the wire."""

    def __init__(self, tools: Any) -> None:
        self.total = self.largest_document = 0.0
        self.documents: set[str] = set()
        tools.on("Network.responseReceived", self._received)
        tools.on("Network.loadingFinished", self._finished)

    def _received(self, event: dict[str, Any]) -> None:
        if event["type"] == "Document":
            self.documents.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        self.total += event["encodedDataLength"]
        if event["requestId"] in self.documents:
            self.largest_document = max(self.largest_document, event["encodedDataLength"])


if __name__ == "__main__":
    main()
