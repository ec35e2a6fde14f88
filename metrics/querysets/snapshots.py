"""Snapshots: PerfWatch's own, those that were imported, and the newest for the live page."""

from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db import models
from django.db.models.functions import Cast

from metrics.configuration import sampling_interval
from metrics.documents import documents, opened
from metrics.models import AGGREGATED, Config, MetricsSnapshot
from metrics.querysets.imports import ImportQuerySet
from metrics.querysets.upkeep import UpkeepQuerySet
from metrics.querysets.values import ValueQuerySet


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


# The plugin of mypy thinks up a manager for each of these, of which there are none.
class SnapshotQuerySet(ValueQuerySet, UpkeepQuerySet, ImportQuerySet):  # type: ignore[override]
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
        """Return the row that was sampled live and stored last.

        By id, because a clock set back must not hide that nothing comes. Ids below 0 are imported
        rows', of which there may be half a million.
        """
        return self._by_id().filter(id__gt=0).sampled_live().order_by("-id")._read(1)

    def _read(self, limit: int) -> Rows:
        sampling = models.Subquery(Config.objects.filter(key="sampling").values("value"))
        values = self._texts().annotate(sampling=Cast(sampling, models.TextField()))
        found = list(values.values_list("id", "timestamp", "text", "sampling")[:limit])
        interval = sampling_interval(opened(found[0][3])) if found and found[0][3] else None
        rows = zip(found, documents([text for _, _, text, _ in found]), strict=True)
        return Rows([Row(id, timestamp, data) for (id, timestamp, *_), data in rows], interval)


def snapshots() -> SnapshotQuerySet:
    """Return all snapshots of PerfWatch's own type."""
    return SnapshotQuerySet(MetricsSnapshot).filter(metric_type=AGGREGATED)


def imported() -> SnapshotQuerySet:
    """Return the rows that were imported: only these have ids below 0."""
    return SnapshotQuerySet(MetricsSnapshot).filter(id__lt=0)
