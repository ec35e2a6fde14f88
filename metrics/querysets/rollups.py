"""Roll-ups."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.db import connection, models

from metrics.json_paths import Path, extraction
from metrics.models import Rollup
from metrics.querysets.times import EPOCH, sql_moment


class Columns(NamedTuple):
    """Where a chunk begins, its samples, seconds and intervals by slot, and columns by series.

    A series that the chunk does not have has no columns: None.
    """

    start: int
    header: tuple[list[int], list[float], list[float]]
    series: dict[str, dict[str, list[Any]] | None]


class RollupQuerySet(models.QuerySet[Rollup]):
    """Chunks of roll-ups."""

    def of_collectors(self, names: Iterable[str]) -> Self:
        """Keep the chunks of these collectors; without their names the index is read in full."""
        return self.filter(collector__in=list(names))

    def chunks(self, resolution: int, start: datetime) -> dict[str, dict[str, Any]]:
        """Return the chunks that begin at `start`, by their collectors."""
        rows = self.filter(resolution=resolution, start=start)
        return dict(rows.values_list("collector", "data"))

    def between(self, resolution: int, start: datetime, end: datetime | None = None) -> Self:
        """Keep the chunks that begin from `start` on and before `end`."""
        rows = self.filter(resolution=resolution, start__gte=start)
        return rows if end is None else rows.filter(start__lt=end)

    def data(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield collector, start and data of the chunks, oldest first."""
        rows = self.order_by("start").values_list("collector", "start", "data")
        for collector, start, data in rows.iterator(chunk_size=100):
            yield collector, round(start.timestamp()), data

    def columns(
        self,
        resolution: int,
        collectors: Sequence[str],
        names: Sequence[str],
        start: datetime,
        end: datetime,
    ) -> list[Columns]:
        """Return the columns of some series from the chunks that begin in a stretch."""
        paths: list[Path] = [("n",), ("seconds",), ("interval",), *(("s", name) for name in names)]
        wanted = extraction("data", paths)
        marks = ", ".join(["%s"] * len(collectors))
        sql = (
            f"SELECT {EPOCH[connection.vendor]('start')}, {wanted.select}"  # noqa: S608
            f" FROM metrics_rollup {wanted.lateral} WHERE resolution = %s"
            f" AND collector IN ({marks}) AND start >= %s AND start < %s ORDER BY start"
        )
        limits = [resolution, *collectors, sql_moment(start), sql_moment(end)]
        with connection.cursor() as cursor:
            cursor.execute(sql, [*wanted.parameters, *limits])
            found = [(int(at), wanted.values(texts)) for at, *texts in cursor.fetchall()]
        return [
            Columns(at, (n, seconds, interval), dict(zip(names, columns, strict=True)))
            for at, (n, seconds, interval, *columns) in found
        ]

    def names(self, collector: str, spans: Sequence[tuple[int, datetime, datetime]]) -> set[str]:
        """Return the series of a collector in chunks: resolution, and from when to when."""
        each, table = {
            "postgresql": ("key", "CROSS JOIN LATERAL jsonb_object_keys(data->'s') AS names(key)"),
            "sqlite": ("names.key", "CROSS JOIN json_each(data, '$.s') AS names"),
        }[connection.vendor]
        sql = (
            f"SELECT DISTINCT {each} FROM metrics_rollup {table} WHERE collector = %s AND ("  # noqa: S608
            + " OR ".join(["resolution = %s AND start >= %s AND start < %s"] * len(spans))
            + ")"
        )
        limits = [
            limit
            for one, start, end in spans
            for limit in (one, sql_moment(start), sql_moment(end))
        ]
        with connection.cursor() as cursor:
            cursor.execute(sql, [collector, *limits])
            return {name for (name,) in cursor.fetchall()}

    def delete_oldest(self, resolution: int, before: datetime, limit: int) -> int:
        """Delete chunks that begin up to `before`; return how many."""
        rows = self.filter(resolution=resolution, start__lte=before)
        return Rollup.objects.filter(id__in=rows.order_by("start").values("id")[:limit]).delete()[0]

    def first_start(self) -> datetime | None:
        """Return where the oldest chunk begins."""
        return self.order_by("start").values_list("start", flat=True).first()

    def last_start(self) -> datetime | None:
        """Return where the newest chunk begins."""
        return self.order_by("-start").values_list("start", flat=True).first()

    def put(self, resolution: int, start: datetime, data: Mapping[str, Any]) -> None:
        """Write the chunks of some collectors that begin at `start`, over those that are there."""
        self.bulk_create(
            (
                Rollup(resolution=resolution, collector=collector, start=start, data=chunk)
                for collector, chunk in data.items()
            ),
            update_conflicts=True,
            unique_fields=["resolution", "collector", "start"],
            update_fields=["data"],
        )


def rollups() -> RollupQuerySet:
    """Return all roll-ups."""
    return RollupQuerySet(Rollup)
