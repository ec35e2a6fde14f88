"""Snapshots: what roll-ups, folding and deleting need."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from metrics.documents import documents
from metrics.models import AGGREGATED, MetricsSnapshot
from metrics.querysets.rows import RowQuerySet
from metrics.querysets.times import moment_of, sql_moment


class UpkeepQuerySet(RowQuerySet):
    """Old rows, to be summed up, replaced and deleted."""

    def of_samples(self, ids: Iterable[int]) -> list[int]:
        """Return those of the ids whose documents are single samples, not downsampled ones."""
        chosen = list(ids)
        if not chosen:
            return []
        rows = self.filter(id__in=chosen, metric_data__downsampled__isnull=True)
        return list(rows.values_list("id", flat=True))

    def unfolded(
        self, start: datetime, end: datetime, seconds: int, limit: int
    ) -> tuple[datetime | None, datetime | None]:
        """Return the time of the first row that is not at a multiple of `seconds`.

        Of `limit` rows from `start` on and before `end`; the second time is the last of these,
        None where there are no more. Only the index is read.
        """
        epoch = {
            "postgresql": "extract(epoch FROM timestamp) %% %s <> 0",
            "sqlite": "strftime('%%s', timestamp) %% %s <> 0 OR substr(timestamp, 20) <> ''",
        }[connection.vendor]
        rows = self.between(start, end).order_by("timestamp").values_list("timestamp", flat=True)
        table = "SELECT timestamp FROM metrics_snapshot WHERE metric_type = %s"
        sql = (
            f"SELECT timestamp FROM ({table} AND timestamp >= %s AND timestamp < %s"  # noqa: S608
            f" ORDER BY timestamp LIMIT %s) AS portion WHERE {epoch} LIMIT 1"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [AGGREGATED, sql_moment(start), sql_moment(end), limit, seconds])
            found = cursor.fetchone()
        first = moment_of(found[0]) if found else None
        return first, None if first else next(iter(rows[limit - 1 : limit]), None)

    def portion(
        self, after: tuple[datetime, int], end: datetime, limit: int
    ) -> list[tuple[int, datetime, dict[str, Any]]]:
        """Return id, time and document of the oldest rows behind a time and id, before `end`."""
        time, id = after
        rows = self.between(time, end)._texts().exclude(timestamp=time, id__lte=id)
        values = rows.order_by("timestamp", "id").values_list("id", "timestamp", "text")
        return [(id, at, documents([text])[0]) for id, at, text in values[:limit]]

    def replace(self, ids: Sequence[int], timestamp: datetime, document: dict[str, Any]) -> bool:
        """Put one document in the place of these rows; False where one of them is gone.

        It takes the highest id: the highest of all never sinks.
        """
        kept = max(ids)
        deleted, _ = self.filter(id__in=[id for id in ids if id != kept]).delete()
        changed = self.filter(id=kept).update(timestamp=timestamp, metric_data=document)
        return deleted + changed == len(ids)

    def delete_oldest(self, before: datetime, limit: int) -> int:
        """Delete the oldest rows from before a moment; return how many."""
        oldest = self.filter(timestamp__lt=before).order_by("timestamp").values("id")[:limit]
        # The outer one by id alone: else the plan may walk all rows of the type.
        return MetricsSnapshot.objects.filter(id__in=oldest).delete()[0]

    def witness(self, count: int) -> datetime | None:
        """Return the time of the row that `count` others were stored after, by their ids.

        Where there are fewer it is the first one. Imported rows, whose ids are below 0, say
        nothing about the present.
        """
        times = self._by_id().filter(id__gt=0).values_list("timestamp", flat=True)
        highest = self.highest_id()
        if highest is None:
            return None
        before = times.filter(id__lte=highest - count).order_by("-id").first()
        return before or times.order_by("id").first()
