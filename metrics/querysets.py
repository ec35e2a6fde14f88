"""SQL: one method for each screen's or job's need."""

import json
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db import connection, models
from django.db.models.functions import Cast

from metrics.configuration import sampling_interval
from metrics.models import AGGREGATED, Config, MetricsSnapshot


class Row(NamedTuple):
    """A stored snapshot."""

    id: int
    timestamp: datetime
    data: dict[str, Any]


class Rows(NamedTuple):
    """Snapshots, and the seconds between samples that are set at this moment.

    The setting comes with the rows because a live poll has no query to spare for it.
    """

    rows: list[Row]
    interval: int | None


class SnapshotQuerySet(models.QuerySet[MetricsSnapshot]):
    """PerfWatch's own snapshots."""

    def sampled_live(self) -> Self:
        """Leave out what was imported or downsampled."""
        return self.filter(
            metric_data__downsampled__isnull=True, metric_data__sampler__source__isnull=True
        )

    def window(self, start: datetime, end: datetime, limit: int) -> Rows:
        """Return the latest `limit` rows from `start` to `end`, oldest first."""
        found = self.filter(timestamp__gte=start, timestamp__lte=end)
        rows, interval = found.order_by("-timestamp", "-id")._read(limit)
        return Rows(rows[::-1], interval)

    def after(self, cursor: int, start: datetime, limit: int) -> Rows:
        """Return the row `cursor` and at most `limit` that were stored after it, by id.

        Of the later ones only those since `start`. What is above the limit comes next time.
        """
        rows = self.filter(models.Q(timestamp__gte=start) | models.Q(id=cursor), id__gte=cursor)
        return rows.order_by("id")._read(limit + 1)

    def newest(self) -> Rows:
        """Return the row that was stored last: a clock set back cannot hide staleness."""
        return self.order_by("-id")._read(1)

    def _read(self, limit: int) -> Rows:
        sampling = models.Subquery(Config.objects.filter(key="sampling").values("value"))
        values = self.annotate(sampling=Cast(sampling, models.TextField())).values_list(
            "id", "timestamp", "metric_data", "sampling"
        )
        found = list(values[:limit])
        interval = sampling_interval(json.loads(found[0][3])) if found and found[0][3] else None
        return Rows([Row(id, timestamp, data) for id, timestamp, data, _ in found], interval)


def snapshots() -> SnapshotQuerySet:
    """Return all snapshots of PerfWatch's own type."""
    return SnapshotQuerySet(MetricsSnapshot).filter(metric_type=AGGREGATED)


def settings_of(*keys: str) -> dict[str, Any]:
    """Return the values of these rows of `config`, as far as there are such rows.

    Plain SQL: beat asks twice a second, and building the query took two thirds of its time.
    """
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(keys))
        cursor.execute(f"SELECT key, value FROM config WHERE key IN ({marks})", keys)  # noqa: S608
        return {key: json.loads(value) for key, value in cursor.fetchall()}
