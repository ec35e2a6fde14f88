"""Snapshots: what an import has to know of those that are stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, models

from metrics.folding import bucket_seconds
from metrics.querysets.rows import RowQuerySet


class ImportQuerySet(RowQuerySet):
    """Rows by their source, and where there are any."""

    def marks(self, times: Sequence[datetime]) -> list[tuple[datetime, dict[str, Any], int]]:
        """Return time, `sampler` and bucket seconds, 0 unless folded, of rows at these times."""
        rows = self.filter(timestamp__in=times).order_by("timestamp")
        values = rows.values_list("timestamp", "metric_data__sampler", "metric_data__downsampled")
        return [
            (
                at,
                sampler if isinstance(sampler, dict) else {},
                bucket_seconds({"downsampled": folded}),
            )
            for at, sampler, folded in values
        ]

    def times(self, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
        """Return time and id of the rows from `start` to `end`, by time."""
        rows = self.filter(timestamp__gte=start, timestamp__lte=end)
        return list(rows.order_by("timestamp").values_list("timestamp", "id"))

    def first_real_moment(self) -> datetime | None:
        """Return when the oldest was sampled that nobody invented."""
        return self.exclude(id__lt=0, metric_data__sampler__source="demo").first_moment()

    def sources_after(self, id: int, limit: int) -> list[tuple[int, datetime, Any]]:
        """Return id, time and source of the first `limit` rows above an id, by id."""
        rows = self.filter(id__gt=id).order_by("id")
        return list(rows.values_list("id", "timestamp", "metric_data__sampler__source")[:limit])

    def sources(self) -> list[tuple[str, int, datetime, datetime]]:
        """Return the sources of these rows: how many there are of each, the first and the last."""
        rows = self.order_by().values_list("metric_data__sampler__source")
        counted = rows.annotate(
            rows=models.Count("id"), first=models.Min("timestamp"), last=models.Max("timestamp")
        )
        return sorted((source, *rest) for source, *rest in counted if isinstance(source, str))

    def counted(self, stretches: Sequence[tuple[int, int]]) -> list[tuple[Any, ...]]:
        """Return how many rows have ids of each stretch, the first and the last time.

        By the number of the stretch; no document is opened.
        """
        if not stretches:
            return []
        number: models.expressions.Combinable = models.F("id")
        rows = self.order_by()
        if connection.vendor == "sqlite":
            # Else it walks the rows themselves; an index on time holds all that is asked.
            number, rows = number + 0, type(self)(self.model).order_by()
        which = models.Case(
            *(
                models.When(number__gte=start, number__lt=end, then=models.Value(place))
                for place, (start, end) in enumerate(stretches)
            )
        )
        found = rows.alias(number=number).annotate(which=which).filter(which__isnull=False)
        counted = found.values_list("which").annotate(
            rows=models.Count("id"), first=models.Min("timestamp"), last=models.Max("timestamp")
        )
        return [tuple(one) for one in counted]
