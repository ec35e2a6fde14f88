"""Samples of the first PerfWatch, which kept one row for each collector of a sample."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connections

from metrics.collectors import field_of
from metrics.collectors.base import Document, Json
from metrics.collectors.fields import Kind
from metrics.importing.base import PARTS, BadInput, Input, Ready, empty_document
from metrics.importing.checks import Wrong, check, finite, shown, time_of
from metrics.importing.sysstat_table import SOFTWARE_INTERFACE
from metrics.models import AGGREGATED
from metrics.series import GAP

SOURCE = "perfwatch"
NAMESPACE = uuid.UUID("6a9a4e76-0e0c-4b49-9f5b-2f7d8f6f1c55")
PAGE = 3_000
USUAL_INTERVAL = 5
MEASURED = ("cpu", "memory", "network", "disk", "memory_bandwidth")
"""Not `perf_events`: it counted its own process, since it was started."""

# Ours by its names, where they are not the same.
RENAMED = {
    "cpu": {"user": "user_percent", "system": "system_percent", "idle": "idle_percent"}
    | {"iowait": "iowait_percent", "temperature": "temperature_celsius"},
    "memory": {"usage_percent": "percent"},
    "network": {"errors_in": "errin", "errors_out": "errout"}
    | {"drops_in": "dropin", "drops_out": "dropout"},
    "disk": {},
    "memory_bandwidth": {},
}
COUNTERS = (
    *("bytes_sent", "bytes_recv", "packets_sent", "packets_recv"),
    *("errin", "errout", "dropin", "dropout"),
)
_SIZES = ("total", "used", "free")


class Row(NamedTuple):
    """One collector's row."""

    timestamp: datetime
    id: int
    kind: str
    data: Json


class FirstPerfWatch(Input):
    """The table of a first PerfWatch, in a database that Django knows by an alias."""

    fills_gaps = True

    def __init__(self, alias: str, now: datetime) -> None:
        self._alias, self._now = alias, now
        [[count]] = self._query("SELECT count(*) FROM metrics_snapshot")
        super().__init__("metrics_snapshot", count)

    def items(self) -> Iterator[Ready | BadInput]:
        """Yield the samples."""
        self.read = 0
        usual = self._interval()
        before: datetime | None = None
        for timestamp, rows in groupby(self._rows(), lambda row: row.timestamp):
            passed = (timestamp - before).total_seconds() if before else usual
            interval = passed if 0 < passed <= GAP * usual else usual
            before = timestamp
            parts = list(rows)
            self.read += len(parts)
            if row := self._item(timestamp, parts, round(interval, 3)):
                yield row

    def _item(
        self, timestamp: datetime, rows: list[Row], interval: float
    ) -> Ready | BadInput | None:
        try:
            time_of(timestamp.isoformat(), "timestamp", self._now)
            for row in rows:
                if row.kind in (AGGREGATED, *MEASURED) and not isinstance(row.data, dict):
                    raise Wrong("metric_data", f"an object is expected, not {shown(row.data)}.")
            return sample(timestamp, {row.kind: row.data for row in rows}, interval)
        except Wrong as error:
            return BadInput(self.name, str(error), field=f"row {rows[0].id}, {error.field}")

    def _rows(self) -> Iterator[Row]:
        """Yield all rows by time, in pages that end between two times."""
        last = None
        while True:
            where = "" if last is None else "WHERE timestamp > %s "
            found = self._query(
                "SELECT timestamp, id, metric_type, metric_data FROM metrics_snapshot "  # noqa: S608
                f"{where}ORDER BY timestamp, id LIMIT {PAGE}",
                [] if last is None else [last],
            )
            if len(found) == PAGE and found[0][0] != found[-1][0]:
                found = [row for row in found if row[0] != found[-1][0]]
            if not found:
                return
            last = found[-1][0]
            for at, id, kind, data in found:
                yield Row(_moment(at), id, kind, _json(data))

    def _interval(self) -> float:
        if "config" not in connections[self._alias].introspection.table_names():
            return USUAL_INTERVAL
        for (value,) in self._query("SELECT value FROM config WHERE key = 'sampling'"):
            setting = _json(value)
            seconds = finite(setting.get("interval_seconds")) if isinstance(setting, dict) else None
            if seconds and seconds > 0:
                return seconds
        return USUAL_INTERVAL

    def _query(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        with connections[self._alias].cursor() as cursor:
            cursor.execute(sql, list(values))
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def sample(timestamp: datetime, said: Mapping[str, Json], interval: float) -> Ready | None:
    """Return the row of one sample, None where nothing of ours is in it; raise Wrong."""
    parts = {**said.get(AGGREGATED, {}), **said}
    parts = {name: parts[name] for name in MEASURED if isinstance(parts.get(name), dict)}
    if not parts:
        return None
    document = empty_document()
    for name, section in parts.items():
        document[name] |= _numbers(name, section)
    _cpu(document["cpu"], parts.get("cpu", {}))
    _memory(document["memory"])
    _network(document["network"], parts.get("network", {}))
    _disk(document["disk"], parts.get("disk", {}))
    document["timestamp"] = timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    missing = "no data: the first PerfWatch did not record it."
    document["sampler"] = {
        "id": str(uuid.uuid5(NAMESPACE, timestamp.isoformat())),
        "interval_seconds": interval,
        "source": SOURCE,
        "status": {name: "ok" if name in parts else missing for name in PARTS},
    }
    check(document)
    return Ready(timestamp, document)


def _numbers(part: str, section: Mapping[str, Json]) -> Document:
    """Return what of a part is a field of ours, by our names; raise Wrong for what is no number."""
    found: Document = {}
    for name, value in section.items():
        ours = RENAMED[part].get(name, name)
        field = field_of(f"{part}.{ours}")
        if field is None or field.kind is Kind.STATE or "*" in field.path:
            continue
        if value is None or finite(value) is not None:
            found[ours] = value
        elif not isinstance(value, list):  # frequencies, of each CPU
            raise Wrong(f"{part}.{name}", f"a number is expected, not {shown(value)}.")
    return found


def _cpu(cpu: Document, said: Mapping[str, Json]) -> None:
    cores, speeds, load = (said.get(n) for n in ("per_core", "frequency_mhz", "load_avg"))
    if isinstance(cores, list):
        cpu["per_core"] = [finite(one) for one in cores]
    if isinstance(speeds, list) and (known := [s for one in speeds if (s := finite(one))]):
        cpu["frequency_mhz"] = round(sum(known) / len(known), 1)
    if isinstance(load, list):
        for name, value in zip(("1m", "5m", "15m"), load, strict=False):
            cpu[f"load_avg_{name}"] = finite(value)


def _memory(memory: Document) -> None:
    """It took what psutil calls used; ours is what is not available."""
    total, available = memory["total_bytes"], memory["available_bytes"]
    memory["used_bytes"] = None if total is None or available is None else total - available


def _network(network: Document, said: Mapping[str, Json]) -> None:
    """Sum counters over what looks like hardware: its own sums have loopback in them."""
    interfaces = _listed(said.get("interfaces"), "name")
    for name, one in interfaces.items():
        values = _numbers("network", one)
        network["interfaces"][name] = {part: values.get(part) for part in COUNTERS[:2]}
    counted = [one for name, one in interfaces.items() if not SOFTWARE_INTERFACE.fullmatch(name)]
    if counted:
        numbers = [_numbers("network", one) for one in counted]
        network |= {part: sum(one.get(part) or 0 for one in numbers) for part in COUNTERS}


def _disk(disk: Document, said: Mapping[str, Json]) -> None:
    if isinstance(said.get("io"), dict):
        disk |= _numbers("disk", said["io"])
    for name, one in _listed(said.get("partitions"), "mountpoint").items():
        sizes = {f"{part}_bytes": finite(one.get(f"{part}_bytes")) for part in _SIZES}
        share = finite(one.get("usage_percent", one.get("percent")))
        words = {part: one.get(part) for part in ("fstype", "device")}
        disk["partitions"][name] = sizes | {"percent": share} | words


def _listed(said: Json, key: str) -> dict[str, Document]:
    """Return devices by their names, from a list of the first PerfWatch or an object like ours."""
    if isinstance(said, list):
        return {str(one[key]): one for one in said if isinstance(one, dict) and one.get(key)}
    if isinstance(said, dict):
        return {name: one for name, one in said.items() if isinstance(one, dict)}
    return {}


def _moment(value: Any) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _json(value: Any) -> Json:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
