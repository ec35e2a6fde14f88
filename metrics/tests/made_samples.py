"""Samples that somebody seems to have taken: a real document whose numbers wander.

Imports no Django, so benchmarks fill a database with them too.
"""

import copy
import json
import math
import random
import re
import sqlite3
import uuid
from datetime import UTC, datetime, timedelta

from metrics.collectors.fields import Kind, Unit

STILL = {"sampler.interval_seconds", "sampler.missed_ticks", "sampler.spooled", "cpu.core_count"}
MODES = ("user", "nice", "system", "irq", "softirq", "iowait", "steal")
RARE = re.compile(
    r"err|drop|retrans|resets|pswp|oom|compact|direct|hugepages|nice|steal|swap|writeback|blocked"
    r"|pressure\.memory"
)
"""Numbers that are 0 on most hosts most of the time: they stay so but for a few samples."""

SLOW = re.compile(
    r"_bytes|partitions|load_avg|frequency|temperature|memory\.percent|_avg300|sockets"
)
"""Numbers that change little from one sample to the next."""

USUAL = {
    Unit.PERCENT: 30.0,
    Unit.BYTES: 2e9,
    Unit.BYTES_PER_SECOND: 3e6,
    Unit.KIB_PER_SECOND: 3e3,
    Unit.MEGAHERTZ: 2300.0,
    Unit.CELSIUS: 50.0,
}
"""Around what a number wanders that the real document has as 0."""


class Wandering:
    """A host's next moments: each document is a little different from the one before."""

    def __init__(self, document, seed=1):
        from metrics.collectors import field_of

        self.field_of = field_of
        self.random = random.Random(seed)
        self.document = copy.deepcopy(document)
        self.factors = {}

    def next(self, timestamp, interval):
        """Return the document of a moment."""
        document = self._moved(self.document, "")
        self._add_up(document["cpu"])
        document["timestamp"] = timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document["sampler"] |= {"id": str(uuid.uuid4()), "interval_seconds": interval}
        return document

    def _moved(self, value, path):
        if isinstance(value, dict) and value.get("is_up") is False:
            return value
        if isinstance(value, dict):
            return {
                name: self._moved(one, f"{path}.{name}".strip(".")) for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._moved(one, f"{path}.{number}") for number, one in enumerate(value)]
        field = self.field_of(path)
        fixed = not field or field.kind in {Kind.CAPACITY, Kind.STATE} or path in STILL
        if fixed or isinstance(value, (bool, str)) or value is None:
            return value
        if RARE.search(path) and self.random.random() > 0.03:
            return 0
        return self._wandered(value or USUAL.get(field.unit, 40), path, field)

    def _wandered(self, value, path, field):
        slow = field.kind is Kind.GAUGE and SLOW.search(path)
        factor = self.factors.get(path, self.random.uniform(0.3, 1.5))
        # Drawn back to 1, so that it never runs away.
        factor = factor ** (0.99 if slow else 0.9) * math.exp(
            self.random.gauss(0, 0.01 if slow else 0.15)
        )
        self.factors[path] = factor
        moved = value * factor
        if field.unit is Unit.PERCENT:
            return round(min(moved, 100.0), 2)
        return round(moved) if isinstance(value, int) else round(moved, 3)

    def _add_up(self, cpu):
        """Makes the modes of the CPU a whole of 100."""
        total = sum(cpu[f"{mode}_percent"] for mode in MODES)
        share = min(1.0, 90 / total)
        for mode in MODES:
            cpu[f"{mode}_percent"] = round(cpu[f"{mode}_percent"] * share, 2)
        busy = sum(cpu[f"{mode}_percent"] for mode in MODES)
        cpu["idle_percent"] = round(100 - busy, 2)
        cpu["usage_percent"] = round(busy - cpu["iowait_percent"], 2)


def many_devices(document, disks=40, interfaces=30, cpus=256):
    """Return the document as a larger machine would have taken it."""
    large = copy.deepcopy(document)
    [disk, *_] = large["disk"]["devices"].values()
    [filesystem, *_] = large["disk"]["partitions"].values()
    interface = large["network"]["interfaces"]["lo"]
    large["disk"]["devices"] = {f"nvme{n}n1": dict(disk) for n in range(disks)}
    large["disk"]["partitions"] = {
        "/": filesystem,
        **{f"/srv/volumes/customer-{n:02}/data": dict(filesystem) for n in range(disks)},
    }
    large["network"]["interfaces"] = {
        f"enp{n}s0f1np1.100": dict(interface) for n in range(interfaces)
    }
    large["cpu"] |= {"per_core": [20.0] * cpus, "core_count": cpus}
    return large


def insert(database, samples):
    """Write (timestamp, document) pairs into the product's SQLite file."""
    rows = [
        (timestamp.strftime("%Y-%m-%d %H:%M:%S.%f"), json.dumps(document))
        for timestamp, document in samples
    ]
    with sqlite3.connect(database, timeout=20) as connection:
        connection.executemany(
            "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
            " VALUES (?, 'aggregated', ?)",
            rows,
        )
    connection.close()


def every(seconds, count, wandering, until=None):
    """Return samples at even distances, the last one at `until` (default: now)."""
    until = until or datetime.now(UTC)
    moments = [until - timedelta(seconds=seconds * left) for left in range(count - 1, -1, -1)]
    return [(moment, wandering.next(moment, seconds)) for moment in moments]


def with_counters(document, cpus=4):
    """Return the document as a host would have taken it whose CPUs count: waiting for memory."""
    counted = copy.deepcopy(document)
    counts = {
        "cycles": 20_000_000_000,
        "instructions": 12_000_000_000,
        "branch_instructions": 2_000_000_000,
        "branch_misses": 40_000_000,
        "cache_references": 400_000_000,
        "cache_misses": 120_000_000,
        "l1d_loads": 3_000_000_000,
        "l1d_load_misses": 200_000_000,
        "llc_loads": 200_000_000,
        "llc_load_misses": 90_000_000,
        "dtlb_loads": 3_000_000_000,
        "dtlb_load_misses": 9_000_000,
        "itlb_load_misses": 800_000,
        "counted_seconds": 5.0,
        "busy_seconds": 7.0,
        "stalled_cycles_frontend": 2_000_000_000,
        "stalled_cycles_backend": 11_000_000_000,
    }
    ratios = {
        "ipc": 0.6,
        "cache_miss_percent": 30.0,
        "branch_miss_percent": 2.0,
        "l1d_load_miss_percent": 6.7,
        "llc_load_miss_percent": 45.0,
        "dtlb_load_miss_percent": 0.3,
        "stalled_frontend_percent": 10.0,
        "stalled_backend_percent": 55.0,
        "instructions_per_sec": 2.4e9,
        "cache_misses_per_kilo_instruction": 10.0,
        "branch_misses_per_kilo_instruction": 3.3,
        "effective_ghz": 2.8,
    }
    each = {"cycles": 5_000_000_000, "instructions": 3_000_000_000, "ipc": 0.6}
    counted["perf_events"] |= {
        **counts,
        **ratios,
        "per_cpu": {str(cpu): dict(each) for cpu in range(cpus)},
        "running_percent": 100.0,
        "available": True,
        "reason": None,
        "cpus": f"0-{cpus - 1}",
        "events": {},
    }
    return counted
