"""SQL: one method for each screen's or job's need."""

from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db import models

from metrics.configuration import sampling_interval
from metrics.models import AGGREGATED, Config, MetricsSnapshot


class Row(NamedTuple):
    """A stored snapshot; `interval` is the seconds between samples that are set now."""

    id: int
    timestamp: datetime
    data: dict[str, Any]
    interval: int | None


class SnapshotQuerySet(models.QuerySet[MetricsSnapshot]):
    """PerfWatch's own snapshots."""

    def sampled_live(self) -> Self:
        """Leave out what was imported or downsampled."""
        return self.filter(
            metric_data__downsampled__isnull=True, metric_data__sampler__source__isnull=True
        )

    def window(self, start: datetime, limit: int) -> list[Row]:
        """Return the latest `limit` rows since `start`, oldest first."""
        newest = self.filter(timestamp__gte=start).order_by("-timestamp", "-id")
        return newest._as_rows(limit)[::-1]

    def after(self, cursor: int, start: datetime, limit: int) -> list[Row]:
        """Return the row `cursor` and at most `limit` that were stored after it, by time.

        Of the later ones only those since `start`. What is above the limit comes next time.
        """
        rows = self.filter(
            models.Q(timestamp__gte=start) | models.Q(id=cursor), id__gte=cursor
        ).order_by("id")
        return sorted(rows._as_rows(limit + 1), key=lambda row: row.timestamp)

    def newest(self) -> Row | None:
        """Return the row that was stored last: a clock set back cannot hide staleness."""
        return next(iter(self.order_by("-id")._as_rows(1)), None)

    def _as_rows(self, limit: int) -> list[Row]:
        # The interval comes along: one query less for each poll.
        sampling = models.Subquery(Config.objects.filter(key="sampling").values("value"))
        values = self.annotate(sampling=sampling).values_list(
            "id", "timestamp", "metric_data", "sampling"
        )
        return [
            Row(id, timestamp, data, sampling_interval(setting))
            for id, timestamp, data, setting in values[:limit]
        ]


def snapshots() -> SnapshotQuerySet:
    """Return all snapshots of PerfWatch's own type."""
    return SnapshotQuerySet(MetricsSnapshot).filter(metric_type=AGGREGATED)


def setting(key: str) -> Any:
    """Return the value of a row of `config`, or None."""
    return Config.objects.filter(key=key).values_list("value", flat=True).first()
