"""From the catalogue to the charts of one page: which devices are drawn, and what is left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from metrics.charts import CHARTS, COLOURS, DEVICES, MOST_LINES, Chart, Devices, Line
from metrics.collectors import devices, lookup
from metrics.collectors.fields import Field
from metrics.formats import SCALES
from metrics.series import declared, natural, unit_of
from metrics.tiles import missing

LOOKED_AT = 60
"""Snapshots from which it is seen which devices are active."""

Documents = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Choice:
    """The devices of one kind: all that there are, most active first, and those to draw."""

    devices: Devices
    known: tuple[str, ...]
    drawn: tuple[str, ...]

    @property
    def offered(self) -> list[str]:
        """All that can be chosen: also one that was asked for and is gone."""
        return list(dict.fromkeys([*self.known, *self.drawn]))


class Absence(NamedTuple):
    """Charts that are not shown, for one reason."""

    charts: list[Chart]
    reason: str


def most_drawn(kind: Devices) -> int:
    """Return how many devices are drawn when nobody chose any."""
    return min(MOST_LINES // len(chart.lines) for chart in CHARTS if chart.devices is kind)


def choose(kind: Devices, documents: Documents, chosen: Sequence[str] = ()) -> Choice:
    """Return the devices to draw: the chosen, else the most active of the documents."""
    every = max(1, len(documents) // LOOKED_AT)
    activity: dict[str, float] = {}
    for document in documents[::-every]:
        for name, value in active(kind, document).items():
            activity[name] = activity.get(name, 0.0) + value
    known = sorted(sorted(activity, key=natural), key=activity.__getitem__, reverse=True)
    return Choice(kind, tuple(known), tuple(chosen or known[: most_drawn(kind)]))


def active(kind: Devices, document: Mapping[str, Any]) -> dict[str, float]:
    """Return for each device of a document how active it is."""
    found: dict[str, float] = {}
    for path in kind.rank:
        for name in devices(document, declared(path)):
            value = lookup(document, path.replace("*", name))
            found[name] = found.get(name, 0.0) + (value if isinstance(value, (int, float)) else 0)
    return found


def lines_of(chart: Chart, choices: Mapping[str, Choice]) -> list[Line]:
    """Return the lines of a chart, one for each device that is drawn."""
    if chart.devices is None:
        return list(chart.lines)
    choice = choices[chart.devices.key]
    places = _places(choice)
    return [
        replace(
            line,
            series=line.series.replace("*", name),
            label=f"{name} {line.label}".strip(),
            colour=line.colour or COLOURS[places[name] % len(COLOURS)],
            dashed=places[name] >= len(COLOURS),
        )
        for name in choice.drawn
        for line in chart.lines
    ]


def _places(choice: Choice) -> dict[str, int]:
    """Return for each drawn device its place among colours and dashes.

    That is its place among all, so it looks the same whatever is drawn beside it; but of two that
    would look alike the later one takes the next place that is free.
    """
    looks = 2 * len(COLOURS)
    found: dict[str, int] = {}
    for place, name in enumerate(sorted({*choice.known, *choice.drawn}, key=natural)):
        if name in choice.drawn:
            free = [(place + n) % looks for n in range(looks)]
            found[name] = next((one for one in free if one not in found.values()), free[0])
    return found


def described(chart: Chart, lines: Iterable[Line], newest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a page needs to draw a chart, its explanation included."""
    fields = [declared(line.series) for line in chart.lines]
    return {
        "key": chart.key,
        "title": chart.title,
        "about": [
            {"name": line.label or chart.title, "text": field.description, "source": field.source}
            for line, field in zip(chart.lines, fields, strict=True)
        ],
        "lines": list(lines),
        "strip_of": chart.lines[0].series if chart.strip else "",
        "drawing": {
            "stacked": chart.stacked,
            "maximum": maximum_of(chart, newest),
            "certainty": chart.certainty,
            "scale": asdict(SCALES[unit_of(fields[0])]),
        },
    }


def maximum_of(chart: Chart, data: Mapping[str, Any]) -> float | None:
    """Return where the chart's axis ends; None lets the data decide."""
    if not isinstance(chart.maximum, str):
        return chart.maximum
    value = lookup(data, chart.maximum)
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def is_there(chart: Chart, documents: Documents) -> bool:
    """Whether one of the documents has what the chart needs."""
    return not chart.needs or any(lookup(document, chart.needs) for document in documents)


def why_not(chart: Chart, newest: Mapping[str, Any]) -> str:
    """Return in a few words why a chart has nothing to draw."""
    status = lookup(newest, f"sampler.status.{chart.needs.partition('.')[0]}")
    field: Field = declared(chart.needs)
    if status not in (None, "ok") or lookup(newest, f"{chart.needs.partition('.')[0]}.reason"):
        return missing(chart.needs, newest).rstrip(".")
    return f"this host has none ({field.source})"


def absences(charts: Iterable[Chart], newest: Mapping[str, Any]) -> list[Absence]:
    """Return the charts that have nothing to draw by the reason, which often is that of many."""
    found: dict[str, list[Chart]] = {}
    for chart in charts:
        found.setdefault(why_not(chart, newest), []).append(chart)
    return [Absence(charts, reason) for reason, charts in found.items()]


def kinds(*, strips: bool) -> list[Devices]:
    """Return the kinds of devices that people choose from; those of strips only when asked."""
    return [
        kind
        for kind in DEVICES
        if strips or not any(chart.strip for chart in CHARTS if chart.devices is kind)
    ]
