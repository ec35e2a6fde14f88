"""Snapshots: what all who read them need."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Self

from django.db import connection, models
from django.db.models.functions import Cast, Concat

from metrics.collectors.base import Json
from metrics.documents import documents, opened
from metrics.models import AGGREGATED, MetricsSnapshot


class RowQuerySet(models.QuerySet[MetricsSnapshot]):
    """Rows by time and id, and their documents."""

    def between(self, start: datetime, end: datetime | None) -> Self:
        """Keep what was sampled from `start` on and before `end`."""
        found = self.filter(timestamp__gte=start)
        return found if end is None else found.filter(timestamp__lt=end)

    def moments(self, limit: int) -> list[float]:
        """Return when the oldest `limit` were sampled, as seconds of the epoch."""
        found = self.order_by("timestamp", "id").values_list("timestamp", flat=True)
        return [timestamp.timestamp() for timestamp in found[:limit]]

    def documents(self) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield the documents, oldest first, with the second of the epoch of each.

        Opened they take ten times their room, so they are in memory a few at a time.
        """
        values = self._texts().order_by("timestamp", "id").values_list("timestamp", "text")
        for timestamp, text in values.iterator(chunk_size=20):
            yield timestamp.timestamp(), documents([text])[0]

    def latest_documents(self, limit: int) -> list[dict[str, Any]]:
        """Return the youngest `limit` documents, youngest first."""
        rows = self._texts().order_by("-timestamp", "-id").values_list("text", flat=True)
        return documents(list(rows[:limit]))

    def value_of(self, id: int) -> Json:
        """Return the document of a row, whatever it is."""
        return opened(self._texts().values_list("text", flat=True).get(id=id))

    def first_moment(self) -> datetime | None:
        """Return when the oldest was sampled."""
        return self.order_by("timestamp").values_list("timestamp", flat=True).first()

    def last_moment(self) -> datetime | None:
        """Return when the youngest was sampled."""
        return self.order_by("-timestamp").values_list("timestamp", flat=True).first()

    def highest_id(self) -> int | None:
        """Return the highest id."""
        return self._by_id().order_by("-id").values_list("id", flat=True).first()

    def lowest_id(self) -> int | None:
        """Return the lowest id."""
        return self.order_by("id").values_list("id", flat=True).first()

    def since_id(self, id: int, limit: int) -> list[tuple[int, datetime]]:
        """Return id and time of the first `limit` rows above `id`."""
        rows = self._by_id().filter(id__gt=id).order_by("id")
        return list(rows.values_list("id", "timestamp")[:limit])

    def edges(self, limit: int) -> list[int]:
        """Return the ids of the oldest and the youngest `limit` rows."""
        ids = self.values_list("id", flat=True)
        ends = ids.order_by("timestamp")[:limit], ids.order_by("-timestamp")[:limit]
        return [id for end in ends for id in end]

    def number_of(self, limit: int) -> int:
        """Return how many there are, counting up to `limit`."""
        return self.order_by().values("id")[:limit].count()

    def _texts(self) -> Any:
        """Add each document as JSON text, to be opened by `documents`."""
        return self.annotate(text=Cast("metric_data", models.TextField()))

    def _by_id(self) -> Self:
        """Return all rows of our type, to be read in the order of their ids.

        SQLite takes the index on the type for any query that names it, and sorts every row then;
        the planner of PostgreSQL knows that nearly all rows are of that type.
        """
        rows = type(self)(self.model)
        if connection.vendor == "postgresql":
            return rows.filter(metric_type=AGGREGATED)
        return rows.alias(own=Concat("metric_type", models.Value(""))).filter(own=AGGREGATED)
