"""The tiles: one number each at the top of the live page, with its level."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metrics.collectors import devices, lookup
from metrics.collectors.fields import Field, Level, judge
from metrics.documents import number
from metrics.formats import Text, text_of
from metrics.series import as_drawn, declared, unit_of

LONGEST_NAME = 17
"""Of a longer name a tile shows the end: what differs stands there."""


@dataclass(frozen=True)
class Tile:
    """One number.

    A `*` in a field stands for the device whose value is the highest. Of `fields`, which are named
    here, the one with the highest value is shown. `detail` is text in which `{path}` stands for
    the value of a field, `{path.*}` for that of the same device and `{*}` for its name. The level
    is the worst of what is shown and of `watched`, which is named when it is the worst. `instead`
    is shown where there is no value.
    """

    key: str
    title: str
    fields: tuple[tuple[str, str], ...]
    detail: str
    watched: tuple[tuple[str, str], ...] = ()
    mark: str = ""
    instead: "Tile | None" = None


TILES: tuple[Tile, ...] = (
    Tile(
        "cpu",
        "CPU",
        (("", "cpu.usage_percent"),),
        "user {cpu.user_percent}, iowait\N{NO-BREAK SPACE}{cpu.iowait_percent}",
        watched=(
            ("iowait", "cpu.iowait_percent"),
            ("steal", "cpu.steal_percent"),
            ("temperature", "cpu.temperature_celsius"),
        ),
    ),
    Tile(
        "memory",
        "Memory",
        (("", "memory.percent"),),
        "{memory.used_bytes} of {memory.total_bytes}",
        watched=(("swap", "memory.swap_percent"),),
    ),
    Tile(
        "load",
        "Load",
        (("", "cpu.load_avg_1m"),),
        "of {cpu.core_count} CPUs; 15\N{NO-BREAK SPACE}min:\N{NO-BREAK SPACE}{cpu.load_avg_15m}",
    ),
    Tile(
        "disk",
        "Busiest disk",
        (("", "disk.devices.*.util_percent"),),
        "{*}: {disk.devices.*.read_bytes_per_sec} in, {disk.devices.*.write_bytes_per_sec} out",
    ),
    Tile(
        "filesystem",
        "Fullest filesystem",
        (("", "disk.partitions.*.percent"),),
        "{*}, {disk.partitions.*.free_bytes} free;"
        " inodes\N{NO-BREAK SPACE}{disk.partitions.*.inodes_percent}",
        watched=(("inodes of {*}", "disk.partitions.*.inodes_percent"),),
    ),
    Tile(
        "network",
        "Network in",
        (("", "network.bytes_recv_per_sec"),),
        "↑ {network.bytes_sent_per_sec} out",
        mark="↓",
    ),
    Tile(
        "pressure",
        "Pressure",
        (
            ("CPU", "pressure.cpu.some_avg10"),
            ("memory", "pressure.memory.some_avg10"),
            ("disks", "pressure.io.some_avg10"),
        ),
        "of the time tasks wait for {*}",
        watched=(
            ("CPU", "pressure.cpu.some_avg10"),
            ("memory", "pressure.memory.some_avg10"),
            ("disks", "pressure.io.some_avg10"),
        ),
    ),
    Tile(
        "perf",
        "IPC",
        (("", "perf_events.ipc"),),
        "cache misses {perf_events.cache_miss_percent};"
        " counted\N{NO-BREAK SPACE}{perf_events.running_percent}",
        instead=Tile(
            "perf",
            "Context switches",
            (("", "perf_events.context_switches"),),
            "{perf_events.reason}",
        ),
    ),
)


@dataclass(frozen=True)
class Reading:
    """A tile with the numbers of one snapshot.

    `series` is what its small line draws; `cause` is the device or what sets the level, if any.
    """

    tile: Tile
    series: str
    value: Text
    level: Level
    detail: str
    cause: str
    meaning: str
    missing: str


class _Found:
    """What a field, or the device with the highest value of it, says in one snapshot."""

    def __init__(self, name: str, path: str, data: Mapping[str, Any]) -> None:
        self.path = path
        self.field = declared(path)
        self.device, self.value = name, lookup(data, path)
        if "*" in path:
            values = {
                device: lookup(data, path.replace("*", device))
                for device in devices(data, self.field)
            }
            known = {one: value for one, value in values.items() if _is_number(value)}
            self.device = max(known, key=known.__getitem__, default=next(iter(values), ""))
            self.value = known.get(self.device)
        self.name = name.replace("{*}", self.device)
        self.text = text_of(as_drawn(self.field, self.value, data), unit_of(self.field))
        self.level = level_of(self.field, self.value, data)


def level_of(field: Field, value: Any, data: Mapping[str, Any]) -> Level:
    """Judge a value of a snapshot; of a load it counts how much there is for each CPU."""
    if not _is_number(value):
        return Level.UNKNOWN
    if field.levels and field.levels.per:
        whole = number(lookup(data, field.levels.per))
        return judge(field.levels, value / whole) if whole else Level.UNKNOWN
    return judge(field.levels, value)


def read_tile(tile: Tile, data: Mapping[str, Any]) -> Reading:
    """Return what the tile says of a snapshot."""
    found = [_Found(name, path, data) for name, path in tile.fields]
    shown = max(found, key=lambda one: one.value if _is_number(one.value) else -1)
    if shown.value is None and tile.instead:
        return read_tile(tile.instead, data)
    absent = missing(shown.path, data) if shown.value is None else ""
    detail = absent or _detail(tile.detail, data, shown.device)
    level, cause = shown.level, shown.device or shown.name
    for name, path in tile.watched:
        other = _Found(name, path, data)
        if RANKS[other.level] > RANKS[level]:
            level = other.level
            detail = cause = f"{other.name} {_unbroken(other.text)}"
    return Reading(
        tile=tile,
        series=shown.path,
        value=shown.text,
        level=level,
        detail=detail,
        cause=cause,
        meaning=f"{shown.field.description} Source: {shown.field.source}.",
        missing=absent,
    )


RANKS = {Level.UNKNOWN: 0, Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2}


def missing(path: str, data: Mapping[str, Any]) -> str:
    """Return in a sentence why a snapshot has no value of a field."""
    if not data:
        return "No sample yet."
    collector = path.partition(".")[0]
    status = lookup(data, f"sampler.status.{collector}")
    reason = lookup(data, f"{collector}.reason")
    if isinstance(status, str) and status != "ok":
        return f"{status[:1].upper()}{status[1:]}"
    return reason if isinstance(reason, str) else "Not available in the newest sample."


def summary(readings: list[Reading]) -> str:
    """Return in a sentence whether the machine is well and, if not, where it hurts."""
    parts = list(_troubles(readings))
    if parts:
        return "; ".join(parts) + "."
    known = any(reading.level is not Level.UNKNOWN for reading in readings)
    return "Everything is within its limits." if known else ""


def worst(readings: list[Reading]) -> Level:
    """Return the level of the whole machine."""
    return max((reading.level for reading in readings), key=RANKS.__getitem__)


def _troubles(readings: list[Reading]) -> Iterator[str]:
    for level in (Level.CRITICAL, Level.WARNING):
        names = [
            f"{reading.tile.title} {_unbroken(reading.value)}"
            + (f" ({reading.cause})" if reading.cause else "")
            for reading in readings
            if reading.level is level
        ]
        if names:
            yield f"{level.capitalize()}: {', '.join(names)}"


def _detail(template: str, data: Mapping[str, Any], device: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] == "*":
            return device if len(device) <= LONGEST_NAME else f"…{device[1 - LONGEST_NAME :]}"
        found = lookup(data, match[1].replace("*", device))
        return (
            found if isinstance(found, str) else _unbroken(text_of(found, declared(match[1]).unit))
        )

    return re.sub(r"\{([^}]+)\}", value, template)


def _unbroken(text: Text) -> str:
    """Return a number that no line break parts from its unit."""
    return str(text).replace(" ", "\N{NO-BREAK SPACE}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
