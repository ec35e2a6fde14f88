"""The catalogue: which fields are drawn, where, in which colour. Data, read by every page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metrics.collectors import field_of, highest, lookup
from metrics.collectors.fields import Field, Level, judge
from metrics.formats import Text, text_of


@dataclass(frozen=True)
class Line:
    """One series of a chart. `sign` -1 draws it below zero."""

    series: str
    label: str
    colour: str
    sign: int = 1
    filled: bool = False


@dataclass(frozen=True)
class Chart:
    """One chart. `maximum` is a number or the series that holds it; None lets the data decide."""

    key: str
    title: str
    group: str
    lines: tuple[Line, ...]
    stacked: bool = False
    maximum: float | str | None = None


@dataclass(frozen=True)
class Tile:
    """One number at the top of the page.

    A `*` in `field` stands for the device whose value is the highest. `detail` is text in which
    `{path}` stands for the value of a field, `{path.*}` for that of the same device and `{*}`
    for its name.
    """

    key: str
    title: str
    field: str
    detail: str


CHARTS: tuple[Chart, ...] = (
    Chart(
        "cpu",
        "CPU",
        "CPU",
        (
            Line("cpu.user_percent", "user", "blue"),
            Line("cpu.nice_percent", "nice", "sky"),
            Line("cpu.system_percent", "system", "vermillion"),
            Line("cpu.irq_percent", "irq", "purple"),
            Line("cpu.softirq_percent", "softirq", "purple-light"),
            Line("cpu.iowait_percent", "iowait", "amber"),
            Line("cpu.steal_percent", "steal", "rose"),
        ),
        stacked=True,
        maximum=100.0,
    ),
    Chart(
        "memory",
        "Memory",
        "Memory",
        # Not stacked: shared memory counts as cached and is not available, so it is in both.
        (
            Line("memory.used_bytes", "used", "blue", filled=True),
            Line("memory.cached_bytes", "cached", "sky"),
            Line("memory.buffers_bytes", "buffers", "green"),
            Line("memory.swap_used_bytes", "swap", "rose"),
        ),
        maximum="memory.total_bytes",
    ),
    Chart(
        "network",
        "Network",
        "Network",
        (
            Line("network.bytes_recv_per_sec", "received", "blue", filled=True),
            Line("network.bytes_sent_per_sec", "sent", "vermillion", sign=-1, filled=True),
        ),
    ),
    Chart(
        "disk",
        "Disk throughput",
        "Disk",
        (
            Line("disk.read_bytes_per_sec", "read", "blue", filled=True),
            Line("disk.write_bytes_per_sec", "written", "vermillion", sign=-1, filled=True),
        ),
    ),
)

TILES: tuple[Tile, ...] = (
    Tile("cpu", "CPU", "cpu.usage_percent", "iowait {cpu.iowait_percent}"),
    Tile("memory", "Memory", "memory.percent", "{memory.used_bytes} of {memory.total_bytes}"),
    Tile("load", "Load", "cpu.load_avg_1m", "of {cpu.core_count}; 15 min: {cpu.load_avg_15m}"),
    Tile("disk", "Busiest disk", "disk.devices.*.util_percent", "{*}"),
    Tile(
        "filesystem",
        "Fullest filesystem",
        "disk.partitions.*.percent",
        "{*}, {disk.partitions.*.free_bytes} free",
    ),
    Tile(
        "received",
        "Received",
        "network.bytes_recv_per_sec",
        "packets {network.packets_recv_per_sec}",
    ),
    Tile("sent", "Sent", "network.bytes_sent_per_sec", "packets {network.packets_sent_per_sec}"),
    Tile(
        "swap",
        "Swap",
        "memory.swap_percent",
        "{memory.swap_used_bytes} of {memory.swap_total_bytes}",
    ),
)


@dataclass(frozen=True)
class Reading:
    """A tile with the numbers of one snapshot."""

    tile: Tile
    value: Text
    level: Level
    detail: str
    meaning: str


def declared(series: str) -> Field:
    """Return the declaration of a series; raise LookupError where no collector declares it."""
    field = field_of(series)
    if field is None:
        raise LookupError(f"No collector declares {series}.")
    return field


def drawn_series() -> list[str]:
    """Return the series of all charts, each once."""
    return list(dict.fromkeys(line.series for chart in CHARTS for line in chart.lines))


def read_tile(tile: Tile, data: Mapping[str, Any]) -> Reading:
    """Return what the tile says of a snapshot."""
    field = declared(tile.field)
    device, value = highest(data, field) if "*" in tile.field else ("", lookup(data, tile.field))
    return Reading(
        tile=tile,
        value=text_of(value, field.unit),
        level=judge(field.levels, value if isinstance(value, (int, float)) else None),
        detail=_detail(tile.detail, data, device),
        meaning=f"{field.description} Source: {field.source}.",
    )


def maximum_of(chart: Chart, data: Mapping[str, Any]) -> float | None:
    """Return where the chart's axis ends; None lets the data decide."""
    if not isinstance(chart.maximum, str):
        return chart.maximum
    value = lookup(data, chart.maximum)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def _detail(template: str, data: Mapping[str, Any], device: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] == "*":
            return device or "none"
        return str(text_of(lookup(data, match[1].replace("*", device)), declared(match[1]).unit))

    return re.sub(r"\{([^}]+)\}", value, template)
