"""How evenly samples are taken: `python benchmarks/tick_spacing.py --seconds 300`.

Prints one row of a Markdown table per set-up: ticks lost and doubled, drift against the wall
clock, and the error of the spacing between two samples (median, 99th percentile, maximum).
"""

import argparse
import statistics
import time
from datetime import UTC, datetime
from itertools import pairwise

from installation import Installation, sampling


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--interval", type=int, default=1)
    parser.add_argument("--redis", default="", metavar="URL", help="measure with this Redis too")
    options = parser.parse_args()
    print("| set-up | ticks | lost | doubled | drift ms | error ms p50 | p99 | max |")
    print("|---|---|---|---|---|---|---|---|")
    for name, url in (("one process", ""), ("Redis", options.redis)):
        if name == "Redis" and not url:
            continue
        with sampling(options.interval, url) as installation:
            since = installation.query("SELECT max(id) FROM metrics_snapshot")[0][0]
            time.sleep(options.seconds)
            print(row(name, installation, since, options.interval), flush=True)


def row(name: str, installation: Installation, since: int, interval: int) -> str:
    """Return the row of one set-up."""
    stamps = installation.query(
        f"SELECT timestamp FROM metrics_snapshot WHERE id >= {since} ORDER BY id"
    )
    times = [datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for (text,) in stamps]
    slots = [int(moment // interval) for moment in times]
    lost = slots[-1] - slots[0] + 1 - len(set(slots))
    doubled = len(slots) - len(set(slots))
    spacing = [abs(b - a - interval) * 1000 for a, b in pairwise(times)]
    quarter = max(1, len(times) // 4)
    offsets = [(moment % interval) * 1000 for moment in times]
    drift = statistics.median(offsets[-quarter:]) - statistics.median(offsets[:quarter])
    p99 = statistics.quantiles(spacing, n=100)[98]
    return (
        f"| {name} | {len(times)} | {lost} | {doubled} | {drift:.1f} "
        f"| {statistics.median(spacing):.1f} | {p99:.1f} | {max(spacing):.1f} |"
    )


if __name__ == "__main__":
    main()
