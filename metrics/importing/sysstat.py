"""Samples of sysstat's archives as documents of ours."""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from metrics.buckets import LONGEST_INTERVAL
from metrics.collectors.base import Document, Json
from metrics.importing import sysstat_table as table
from metrics.importing.base import (
    PARTS,
    BadInput,
    Input,
    Ready,
    empty_document,
    source_name,
)
from metrics.importing.checks import Wrong, check, finite, shown, time_of
from metrics.importing.sadf import Part, parts_of
from metrics.importing.sysstat_table import Said

KIND = "sysstat"
NAMESPACE = uuid.UUID("5b5d7d6e-5c0e-4b0e-9f0c-8f4f6a1f9a51")
STATUS = {
    name: "no data: sysstat does not record it." if name in table.ABSENT else "ok" for name in PARTS
}
NO_DEVICE = dict.fromkeys(
    (*(said.ours for said in table.DISK), *("read_iops", "write_iops")),
) | dict.fromkeys(("read_await_ms", "write_await_ms"))


class SysstatFile(Input):
    """An archive that sadc wrote, or what `sadf -j` made of one; compressed or not."""

    fills_gaps = True

    def __init__(self, name: str, size: int, now: datetime, path: str = "") -> None:
        super().__init__(name, size, path)
        self._now = now

    def items(self) -> Iterator[Ready | BadInput]:
        """Yield the samples, and an empty document for each restart: no line is drawn over it."""
        host: Mapping[str, Json] = {}
        spans: list[tuple[datetime, datetime]] = []
        for part in parts_of(self):
            if isinstance(part, BadInput):
                yield part
                continue
            try:
                if part.name == "sample":
                    row = sample(part.value, host, self._now)
                    interval = row.document["sampler"]["interval_seconds"]
                    spans.append((row.timestamp - timedelta(seconds=interval), row.timestamp))
                    yield row
                else:
                    host = {**host, **part.value}
                    yield from blanks(host, spans, self._now) if part.name == "end" else ()
            except Wrong as error:
                yield self._fault(part, error)

    def _fault(self, part: Part, error: Wrong) -> BadInput:
        return BadInput(self.name, str(error), line=part.line, field=error.field)


def sample(said: Json, host: Mapping[str, Json], now: datetime) -> Ready:
    """Return one sample of sar's as a row; raise Wrong where it says nonsense."""
    if not isinstance(said, dict):
        raise Wrong("statistics", f"a sample is expected, not {shown(said)}.")
    at = said.get("timestamp")
    at = at if isinstance(at, dict) else {}
    timestamp = moment_of(at, host, "timestamp", now)
    interval = at.get("interval")
    if type(interval) is not int or not 0 < interval <= LONGEST_INTERVAL:
        raise Wrong("timestamp.interval", f"{shown(interval)} is no number of seconds.")
    document = blank(timestamp, host)
    document["sampler"]["interval_seconds"] = interval
    for path, value in numbers(table.SAMPLE, said).items():
        _put(document, path, value)
    _cpu(document["cpu"], said, host)
    _memory(document["memory"], said)
    _disk(document["disk"], said)
    _network(document["network"], said)
    check(document, "statistics")
    return Ready(timestamp, document)


def blank(timestamp: datetime, host: Mapping[str, Json]) -> Document:
    """Return a document that says nothing but when and where."""
    source = source_name(KIND, host.get("nodename"))
    document = empty_document()
    document["timestamp"] = timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document["host"]["name"] = host.get("nodename")
    document["sampler"] = {
        "id": str(uuid.uuid5(NAMESPACE, f"{source} {timestamp.isoformat()}")),
        "interval_seconds": None,
        "source": source,
        "status": dict(STATUS),
    }
    return document


def blanks(
    host: Mapping[str, Json], spans: list[tuple[datetime, datetime]], now: datetime
) -> Iterator[Ready]:
    """Yield an empty row for each restart, where sadc took its first reading after it.

    That reading has no rates, so sar shows nothing of it, as if the time before had gone on.
    """
    taken = {end for _, end in spans}
    for number, restart in enumerate(_list(host, "restarts")):
        boot = restart.get("boot") if isinstance(restart, dict) else None
        if isinstance(boot, dict):
            at = moment_of(boot, host, f"restarts[{number}].boot", now)
            first = min((start for start, _ in spans if start >= at), default=at)
            if first not in taken:
                yield Ready(first, blank(first, host))


def moment_of(
    at: Mapping[str, Json], host: Mapping[str, Json], field: str, now: datetime
) -> datetime:
    """Return the time of a record: in UTC, unless somebody asked sadf for local times."""
    date, time = at.get("date"), at.get("time")
    found = time_of(f"{date}T{time}" if date and time else None, field, now)
    zone = at.get("tz", "UTC" if at.get("utc", 1) else host.get("timezone", "local"))
    if zone not in ("UTC", "GMT", "Z"):
        raise Wrong(field, f"its time zone is {shown(zone)}; make the file without -t and -T.")
    return found.astimezone(UTC)


def numbers(fields: Iterable[Said], said: Mapping[str, Json], place: str = "") -> dict[str, Any]:
    """Return our fields of a table as far as they are said; raise Wrong for what is no number."""
    found: dict[str, Any] = {}
    for ours, theirs, factor in fields:
        if found.get(ours) is None:
            values = [_at(said, path, place) for path in theirs]
            known = [value for value in values if value is not None]
            found[ours] = _tidy(sum(known) * factor) if len(known) == len(values) else None
    return found


def _cpu(cpu: Document, said: Mapping[str, Json], host: Mapping[str, Json]) -> None:
    place = "cpu-load" if "cpu-load" in said else "cpu-load-all"
    by_name = dict(_named(said, place, "cpu"))
    modes = {name: numbers(table.CPU, one, f"{place}[{name}].") for name, one in by_name.items()}
    cpu |= modes.get("all", {})
    cpu["usage_percent"] = _usage(modes.get("all", {}))
    # A CPU that was offline has no time at all.
    cores = {
        int(name): _usage(one) if any(one.values()) else None
        for name, one in modes.items()
        if re.fullmatch("[0-9]{1,4}", name)
    }
    cpu["per_core"] = [cores.get(number) for number in range(max(cores, default=-1) + 1)]
    online = sum(usage is not None for usage in cores.values())
    cpu["core_count"] = online or finite(host.get("number-of-cpus"))
    for name, one in _named(said, "interrupts", "intr"):
        if name == "sum":
            sums = (Said("sum", ("all",)), Said("sum", ("value",)))
            cpu["interrupts_per_sec"] = numbers(sums, one, "interrupts[sum].")["sum"]
    power = said.get("power-management")
    for name, one in _named(power, "cpu-frequency", "number") if isinstance(power, dict) else ():
        if name == "all":
            cpu["frequency_mhz"] = _at(one, "frequency", "cpu-frequency[all].")


def _usage(modes: Mapping[str, Json]) -> float | None:
    idle, waiting = modes.get("idle_percent"), modes.get("iowait_percent")
    return None if idle is None or waiting is None else max(0.0, round(100 - idle - waiting, 2))


def _memory(memory: Document, said: Mapping[str, Json]) -> None:
    """Set what sar says only together with other numbers: the sum, and with it what is used."""
    one = said.get("memory")
    names = ("memfree", "memused", "buffers", "cached", "slab", "memused-percent")
    free, used, buffers, cached, slab, share = (
        _at(one, name, "memory.") if isinstance(one, dict) else None for name in names
    )
    if free is None or used is None or share is None:
        return
    # Since sysstat 11.7 what caches hold is not "used"; the share tells which it is.
    totals = [free + used, free + used + (buffers or 0) + (cached or 0) + (slab or 0)]
    total = min(totals, key=lambda total: abs(100 * used - share * total))
    memory["total_bytes"] = round(total * table.KIB)
    if (available := memory["available_bytes"]) is not None and total:
        memory["used_bytes"] = memory["total_bytes"] - available
        memory["percent"] = round(100 * memory["used_bytes"] / memory["total_bytes"], 2)


def _disk(disk: Document, said: Mapping[str, Json]) -> None:
    found = dict(_named(said, "disk", "disk-device"))
    for name, one in found.items():
        if not _is_partition(name, found):
            values = numbers(table.DISK, one, f"disk[{name}].")
            if values["util_percent"] is not None:
                values["util_percent"] = min(100.0, values["util_percent"])
            disk["devices"][name] = NO_DEVICE | values
    for name, one in _named(said, "filesystems", "mountpoint"):
        place = f"filesystems[{name}]."
        values = numbers(table.FILESYSTEM, one, place)
        used, total = values["used_bytes"], values["total_bytes"]
        share = _at(one, "%ufsused", place)
        free = None if total is None or share is None else round(total * (1 - share / 100))
        percent = round(100 * used / (used + free), 2) if free is not None and used + free else None
        disk["partitions"][name] = values | {"free_bytes": free, "percent": percent}


def _is_partition(name: str, devices: Mapping[str, Json]) -> bool:
    """Whether it is one of another device: sda1 of sda, nvme0n1p1 of nvme0n1 (block/genhd.c)."""
    parent = re.sub(r"(?<=[0-9])p[0-9]+$|(?<=[a-z])[0-9]+$", "", name)
    return parent != name and parent in devices


def _network(network: Document, said: Mapping[str, Json]) -> None:
    one = said.get("network")
    one = one if isinstance(one, dict) else {}
    interfaces = network["interfaces"]
    for part, fields in (("net-dev", table.INTERFACE), ("net-edev", table.INTERFACE_ERRORS)):
        for name, values in _named(one, part, "iface"):
            known = interfaces.setdefault(name, dict.fromkeys(table.NETWORK_TOTALS.values()))
            known |= numbers(fields, values, f"{part}[{name}].")
    counted = [name for name in interfaces if not table.SOFTWARE_INTERFACE.fullmatch(name)]
    counted = counted or [name for name in interfaces if name != "lo"]
    for total, part in table.NETWORK_TOTALS.items():
        summed = [interfaces[name][part] for name in counted]
        known_ones = [value for value in summed if value is not None]
        network[total] = _tidy(sum(known_ones)) if known_ones else None


def _named(said: Mapping[str, Json], part: str, key: str) -> Iterator[tuple[str, Document]]:
    for one in _list(said, part):
        if isinstance(one, dict) and isinstance(one.get(key), str) and one[key]:
            yield one[key], one


def _list(said: Mapping[str, Json], part: str) -> list[Json]:
    found = said.get(part, [])
    if not isinstance(found, list):
        raise Wrong(part, f"a list is expected, not {shown(found)}.")
    return found


def _at(said: Json, path: str, place: str) -> float | int | None:
    for name in path.split("."):
        if not isinstance(said, dict) or said.get(name) is None:
            return None
        said = said[name]
    if finite(said) is None:
        raise Wrong(f"{place}{path}", f"a number is expected, not {shown(said)}.")
    number: float | int = said
    return number


def _tidy(value: float) -> float | int:
    return value if isinstance(value, int) else round(value, 3)


def _put(document: Document, path: str, value: Json) -> None:
    *parents, last = path.split(".")
    for name in parents:
        document = document[name]
    document[last] = value
