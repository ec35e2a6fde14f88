"""Snapshots for tests: state only what the test is about."""

import copy
import uuid
from datetime import UTC, datetime, timedelta

from metrics.collectors import COLLECTORS, empty
from metrics.models import AGGREGATED, MetricsSnapshot
from metrics.sampling import Snapshot

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EMPTY = {collector.name: empty(collector.fields) for collector in COLLECTORS}


def document(timestamp=NOW, interval=5, **values):
    """A document of nulls but for `values`: `cpu__usage_percent=12.5` sets cpu.usage_percent."""
    data = copy.deepcopy(EMPTY)
    data["timestamp"] = timestamp.isoformat().replace("+00:00", "Z")
    data["sampler"] = {"id": str(uuid.uuid4()), "interval_seconds": interval}
    for name, value in values.items():
        *parents, leaf = name.split("__")
        target = data
        for parent in parents:
            target = target.setdefault(parent, {})
        target[leaf] = value
    return data


def snapshot(timestamp=NOW, **values):
    """A snapshot as the sampler gives it."""
    return Snapshot(timestamp, document(timestamp, **values))


def stored(timestamp=NOW, metric_type=AGGREGATED, **values):
    """A row of metrics_snapshot."""
    return MetricsSnapshot.objects.create(
        timestamp=timestamp, metric_type=metric_type, metric_data=document(timestamp, **values)
    )


def stored_every(seconds, count, until=None, **values):
    """Rows at even distances, the last one at `until` (default: now)."""
    until = until or datetime.now(UTC)
    return [
        stored(until - timedelta(seconds=seconds * left), interval=seconds, **values)
        for left in range(count - 1, -1, -1)
    ]
