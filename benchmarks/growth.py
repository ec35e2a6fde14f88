"""Whether processes grow: `python benchmarks/growth.py --seconds 3600`.

Runs the whole product at one sample a second, with a browser that polls and now and then loads the
page again, and prints one row of a Markdown table per process: resident memory and open descriptors
after the warm-up and at the end. Warm is what has served the page with all that its window can
hold: how much a page needs at once is no growth.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from viewers import Product, cookie, cursor_of, query_of

WARM_UP = 0.5
"""The share of the time after which memory is looked at first: by then all kinds of tasks ran."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3600)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perfwatch-growth-") as directory:
        product = Product(Path(directory))
        try:
            product.start()
            product.query(
                """UPDATE config SET value = '{"interval_seconds": 1}' WHERE key = 'sampling'"""
            )
            session = cookie(product)
            watch(product, session, options.seconds * WARM_UP)
            load_again(product, session)
            before = seen(product)
            watch(product, session, options.seconds * (1 - WARM_UP))
            load_again(product, session)
            after = seen(product)
        finally:
            product.stop()
    print("\n| process | MB before | after | growth | descriptors before | after |")
    print("|---|---|---|---|---|---|")
    for pid, (name, memory, descriptors) in after.items():
        start = before.get(pid, ("", 0.0, 0))
        print(
            f"| {name} | {start[1]:.1f} | {memory:.1f} | {memory - start[1]:+.1f} "
            f"| {start[2]} | {descriptors} |"
        )


def load_again(product: Product, session: str) -> None:
    """Load the page so often that each of the web server's processes has served it."""
    for _ in range(20):
        product.get("/", session)


def watch(product: Product, session: str, seconds: float) -> None:
    """Poll as a page does, and print the memory of all processes once a minute."""
    deadline = time.monotonic() + seconds
    cursor = polls = 0
    path = ""
    while time.monotonic() < deadline:
        if cursor:
            cursor = cursor_of(product.get(f"{path}&after={cursor}", session))
        else:  # as a page does when it is told to load again
            page = product.get("/", session)
            path, cursor = query_of(page), cursor_of(page)
        polls += 1
        if polls % 60 == 0:
            found = seen(product).values()
            print(", ".join(f"{name} {memory:.1f} MB" for name, memory, _ in found), flush=True)
        time.sleep(1)


def seen(product: Product) -> dict[int, tuple[str, float, int]]:
    """Return name, MB of memory and open descriptors of each process."""
    supervisor = psutil.Process(product.process.pid)
    found = {}
    for one in [supervisor, *supervisor.children(recursive=True)]:
        words = " ".join(one.cmdline())
        names = ("supervisor", "gunicorn", "sampler")
        name = next((name for name in names if name in words), one.name())
        found[one.pid] = (name, one.memory_info().rss / 1e6, one.num_fds())
    return found


if __name__ == "__main__":
    main()
