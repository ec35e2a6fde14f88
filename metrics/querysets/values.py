"""Snapshots: values of many documents, and what happened, for history, export and lists."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection

from metrics.documents import documents, inner, number, opened
from metrics.json_paths import Path, extraction
from metrics.models import AGGREGATED
from metrics.querysets.rows import RowQuerySet
from metrics.querysets.times import EPOCH, sql_moment


class Look(NamedTuple):
    """A snapshot that holds the processes with most CPU and most memory, by their rank."""

    timestamp: datetime
    processes: dict[str, dict[str, dict[str, Any]]]

    @property
    def cpu_percent(self) -> float:
        """The share of all CPUs' time that went to the busiest processes."""
        ranks = self.processes.get("top_cpu", {}).values()
        return sum(number(rank.get("cpu_percent")) or 0.0 for rank in ranks)


class Place(NamedTuple):
    """A row's place in the order of time and id; `timestamp` is as the database writes it."""

    timestamp: Any
    id: int


LOWEST_ID = -(2**63)
"""Imported rows have ids below 0."""

WHOLE = {"sqlite": 30, "postgresql": 100}
"""From so many values on, whole documents cost less than looking each value up in them."""

MOST_LOOKS = 5_000
"""Rows in which is looked for processes: more than an hour has."""


class ValueQuerySet(RowQuerySet):
    """Values, without opening whole documents."""

    def readings(
        self, paths: Sequence[Path], start: datetime, end: datetime, limit: int
    ) -> list[tuple[float, dict[str, Any]]]:
        """Return what the youngest `limit` documents of a stretch hold at these paths, at least.

        Oldest first: the second of the epoch and a document of these values.
        """
        if len(paths) >= WHOLE[connection.vendor]:
            youngest = self.between(start, end)._texts().order_by("-timestamp", "-id")[:limit]
            values = list(youngest.values_list("timestamp", "text"))[::-1]
            # One by one: texts and documents of all together would be in memory twice.
            return [(at.timestamp(), documents([text])[0]) for at, text in values]
        wanted = extraction("metric_data", paths)
        # Documents are opened only once it is decided which rows they are of.
        epoch = EPOCH[connection.vendor]("timestamp")
        sql = (
            f"SELECT at, {wanted.select} FROM (SELECT id, {epoch} AS at, metric_data"  # noqa: S608
            " FROM metrics_snapshot WHERE metric_type = %s AND timestamp >= %s AND timestamp < %s"
            f" ORDER BY timestamp DESC, id DESC LIMIT %s) AS chosen {wanted.lateral}"
            " ORDER BY at, id"
        )
        with connection.cursor() as cursor:
            cursor.execute(
                sql, [*wanted.parameters, AGGREGATED, sql_moment(start), sql_moment(end), limit]
            )
            rows = cursor.fetchall()
        return [(float(at), _sparse(paths, wanted.values(texts, opened))) for at, *texts in rows]

    def texts_after(self, place: Place, end: datetime, limit: int) -> list[tuple[Place, str]]:
        """Return the first `limit` documents behind a place and before `end`, as JSON text.

        On SQLite the text is as somebody wrote it, line breaks included.
        """
        text = {"postgresql": "metric_data::text", "sqlite": "metric_data"}[connection.vendor]
        with connection.cursor() as cursor:
            cursor.execute(_behind(f"id, {text}"), [*_limits(place, end), limit])
            return [(Place(at, id), text) for at, id, text in cursor.fetchall()]

    def values_after(
        self, paths: Sequence[Path], place: Place, end: datetime, limit: int
    ) -> list[tuple[Place, list[Any]]]:
        """Return what the first `limit` documents behind a place hold at these paths."""
        wanted = extraction("metric_data", paths)
        sql = (
            f"SELECT at, id, {wanted.select} FROM ({_behind('id, metric_data')}) AS chosen"  # noqa: S608
            f" {wanted.lateral} ORDER BY at, id"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [*wanted.parameters, *_limits(place, end), limit])
            rows = cursor.fetchall()
        return [(Place(at, id), wanted.values(texts, opened)) for at, id, *texts in rows]

    def values_of(self, paths: Sequence[Path], ids: Sequence[int]) -> dict[int, list[Any]]:
        """Return what the documents of these rows hold at these paths, by their ids.

        Rows that hold something else than an object are left out.
        """
        wanted = extraction("metric_data", paths)
        kind = {"postgresql": "jsonb_typeof", "sqlite": "json_type"}[connection.vendor]
        marks = ", ".join(["%s"] * len(ids))
        sql = (
            f"SELECT id, {wanted.select} FROM metrics_snapshot {wanted.lateral}"  # noqa: S608
            f" WHERE id IN ({marks}) AND {kind}(metric_data) = 'object'"
        )
        with connection.cursor() as cursor:
            cursor.execute(sql, [*wanted.parameters, *ids])
            return {id: wanted.values(texts, opened) for id, *texts in cursor.fetchall()}

    def looks(self, start: datetime, end: datetime) -> list[Look]:
        """Return the looks at processes in a stretch, oldest first."""
        found = self.readings([("processes",)], start, end, MOST_LOOKS)
        looks = [Look(datetime.fromtimestamp(at, UTC), _ranks(data)) for at, data in found]
        return [look for look in looks if any(look.processes.values())]

    def booted_within(self, start: datetime, end: datetime) -> datetime | None:
        """Return when the host started for the last time before `end`, if that was in a stretch.

        That is seen by the uptime of the last sample, or of the next one where there is none. What
        happened since the last sample before the stretch belongs to it.
        """
        rows = self._texts().values_list("timestamp", "text")
        last = rows.filter(timestamp__gte=start, timestamp__lt=end).order_by("-timestamp").first()
        found = last or rows.filter(timestamp__gte=end).order_by("timestamp").first()
        host = inner(documents([found[1]])[0], "host") if found else {}
        uptime = number(host.get("uptime_seconds"))
        if found is None or uptime is None:
            return None
        before = rows.filter(timestamp__lt=start).order_by("-timestamp").first()
        try:
            booted = found[0] - timedelta(seconds=uptime)
        except OverflowError:  # no uptime is that long
            return None
        return booted if (before[0] if before else start) <= booted < end else None


def first_place(start: datetime) -> Place:
    """Return the place in front of all rows from `start` on."""
    return Place(sql_moment(start), LOWEST_ID)


def _behind(columns: str) -> str:
    # No cursor of the database's: it would need a transaction for as long as somebody reads.
    at = {"postgresql": "timestamp", "sqlite": "CAST(timestamp AS TEXT)"}[connection.vendor]
    return (
        f"SELECT {at} AS at, {columns} FROM metrics_snapshot"  # noqa: S608
        " WHERE metric_type = %s AND timestamp >= %s AND (timestamp > %s OR id > %s)"
        " AND timestamp < %s ORDER BY timestamp, id LIMIT %s"
    )


def _limits(place: Place, end: datetime) -> list[Any]:
    return [AGGREGATED, place.timestamp, place.timestamp, place.id, sql_moment(end)]


def _ranks(document: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        key: {rank: inner(table, rank) for rank in inner(table)}
        for key, table in inner(document, "processes").items()
    }


def _sparse(paths: Sequence[Path], values: Sequence[Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for (*parents, last), value in zip(paths, values, strict=True):
        if value is not None:
            target = document
            for parent in parents:
                target = target.setdefault(parent, {})
            target[last] = value
    return document
