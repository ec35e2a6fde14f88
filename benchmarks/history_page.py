"""What the history page costs: `python benchmarks/history_page.py`.

Starts a PerfWatch of its own with made samples of two days at 5 s, rolled up, and opens the page in
Chromium with an empty cache: once 1440 x 900, once so high that every chart is visible. Then
somebody zooms in and out for as often as `--zooms` says, with a dozen charts visible; an hour is
about 1,200. Prints Markdown.
"""

import argparse
import itertools
import shutil
import statistics
import time
from typing import Any

import psutil
from live_page import Sizes, Visitor, visited

from metrics.tests.made_samples import Wandering, every, insert
from perfwatch_site.tests.product import Product, eventually, memory

DAY = "from=now-24h&to=now"
SECONDS_OF_DAY = 86_400
ALL = {"width": 1440, "height": 30_000}
SHOWN = """(() => {
  const charts = [...document.querySelectorAll("time-chart")].filter((one) => one.offsetParent);
  return charts.filter((one) => one.chart?.data.datasets.some(({data}) => data.length)).length;
})()"""
ASKED = """
performance.getEntriesByType("resource").filter(({name}) => name.includes("/api/"))
  .map(({requestStart, responseStart, responseEnd}) => [requestStart, responseStart, responseEnd])
"""
ZOOM = "to => document.dispatchEvent(new CustomEvent('perfwatch:zoom', { detail: to }))"
STEPS = (SECONDS_OF_DAY, 6 * 3_600, 3_600, 900, 3_600, 6 * 3_600)
MEASURED_EVERY = 200


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--zooms", type=int, default=1_200)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium")
    options = parser.parse_args()
    with visited(options.chromium) as (product, visitor):
        product.query("DELETE FROM metrics_snapshot")
        count = options.days * SECONDS_OF_DAY // 5
        insert(product.database, every(5, count, Wandering(product.sample())))
        product.manage("backfill", "rollups")
        print_loads(visitor, options.runs)
        print_zooms(product, visitor, options.zooms)


def print_loads(visitor: Visitor, runs: int) -> None:
    """Print a row for a usual window and one for all charts at once."""
    print("| 24 h | charts | first drawn s | all drawn s | server, first ms | KB |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, viewport in (("1440 x 900", None), ("all charts at once", ALL)):
        found = [load(visitor, viewport) for _ in range(runs)]
        columns = [statistics.median(column) for column in zip(*found, strict=True)]
        charts, first, last, server, size = columns
        print(
            f"| {name} | {charts:.0f} | {first:.2f} | {last:.2f} | {server:.0f} | {size:.0f} |",
            flush=True,
        )


def load(visitor: Visitor, viewport: Any) -> tuple[float, float, float, float, float]:
    """Return charts, seconds until the first and the last is drawn, ms of the server, KB."""
    with visitor.page() as (page, tools):
        if viewport:
            page.set_viewport_size(viewport)
        sizes = Sizes(tools)
        began = time.monotonic()
        page.goto(f"{visitor.url}/history/?{DAY}", wait_until="commit")
        first, charts, last = 0.0, 0, began
        while time.monotonic() - last < (1.0 if charts else 30.0):
            shown = page.evaluate(SHOWN)
            if shown > charts:
                charts, last = shown, time.monotonic()
                first = first or last
        asked = page.evaluate(ASKED)
        server = min(asked)[1] - min(asked)[0] if asked else 0.0
        return charts, first - began, last - began, server, sizes.total / 1024


def print_zooms(product: Product, visitor: Visitor, zooms: int) -> None:
    """Print what browser and server hold while somebody zooms."""
    print("\n| zooms | heap MB | nodes | listeners | web MB |\n|---|---|---|---|---|", flush=True)
    with visitor.page() as (page, tools):
        tools.send("Performance.enable")
        page.set_viewport_size({"width": 1440, "height": 3_000})
        page.goto(f"{visitor.url}/history/?{DAY}", wait_until="networkidle")
        until = page.evaluate("document.querySelector('history-range').span.to")
        steps = itertools.cycle(STEPS)
        for zoom in range(zooms + 1):
            if zoom % MEASURED_EVERY == 0:
                heap, nodes, listeners = memory(tools)
                print(
                    f"| {zoom} | {heap / 1e6:.2f} | {nodes:.0f} | {listeners:.0f}"
                    f" | {web_memory(product):.0f} |",
                    flush=True,
                )
            start = until - 1000 * next(steps)
            page.evaluate(ZOOM, {"from": start, "to": until})
            page.wait_for_load_state("networkidle")
            eventually(lambda: page.evaluate(SHOWN), bool)


def web_memory(product: Product) -> float:
    """Return MB of the web server's processes, shared pages counted once for each."""
    children = psutil.Process(product.process.pid).children(recursive=True)
    web = [one for one in children if "gunicorn" in " ".join(one.cmdline())]
    return sum(one.memory_info().rss for one in web) / 1e6


if __name__ == "__main__":
    main()
