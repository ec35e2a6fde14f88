"""All collectors, and finding a declared field or its value by the name of a series.

Importing this opens nothing and imports neither psutil nor metrics.kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from metrics.collectors import (
    cpu,
    disk,
    host,
    memory,
    memory_bandwidth,
    network,
    own,
    perf_events,
    pressure,
    processes,
)
from metrics.collectors.base import Collector, Document, Json
from metrics.collectors.fields import Field

COLLECTORS: tuple[Collector[Any], ...] = (
    cpu.COLLECTOR,
    memory.COLLECTOR,
    network.COLLECTOR,
    disk.COLLECTOR,
    memory_bandwidth.COLLECTOR,
    pressure.COLLECTOR,
    perf_events.COLLECTOR,
    processes.COLLECTOR,
    host.COLLECTOR,
)

FIELDS: tuple[Field, ...] = (
    *(field for collector in COLLECTORS for field in collector.fields),
    *own.FIELDS,
)

_BY_PATH = {field.path: field for field in FIELDS}


def _by_leaf() -> Mapping[str, list[tuple[str, Field]]]:
    """Fields of devices by their last name ("" when the device is the last), with their prefix."""
    found: dict[str, list[tuple[str, Field]]] = {}
    for field in FIELDS:
        prefix, star, leaf = field.path.partition("*")
        if star:
            found.setdefault(leaf.removeprefix("."), []).append((prefix, field))
    return found


_BY_LEAF = _by_leaf()


def field_of(series: str) -> Field | None:
    """The field that a series belongs to, by declared prefix and leaf: names may contain dots."""
    return _BY_PATH.get(series) or _device_series(series)[0]


@lru_cache(maxsize=4096)
def getter(series: str) -> Callable[[Mapping[str, Json]], Json]:
    """A function from a document to the value of a series; None when it is not there.

    For the path of a field with `*` it is the highest value among the devices. Finding out what a
    name means takes longer than reading the value, so whoever reads many documents asks once.
    """
    declared = _BY_PATH.get(series)
    if declared and "*" in series:
        return lambda document: highest(document, declared)[1]
    if declared:
        names = series.split(".")
        return lambda document: _at(document, names)
    field, name = _device_series(series)
    if field is None:
        return lambda document: None
    prefix, _, leaf = field.path.partition("*")
    above = prefix.removesuffix(".").split(".")
    below = leaf.removeprefix(".").split(".") if leaf else []
    if is_list(field):
        return lambda document: _member(_at(document, above), name)
    path = [*above, name, *below]
    return lambda document: _at(document, path)


def lookup(document: Mapping[str, Json], series: str) -> Json:
    """The value of a series in a snapshot's document; None when it is not there."""
    return getter(series)(document)


def highest(document: Mapping[str, Json], field: Field) -> tuple[str, Json]:
    """The device with the highest value of a field with `*`, and that value.

    Without any number it is the first device and None, without any device "" and None.
    """
    names = devices(document, field)
    values = {name: lookup(document, field.path.replace("*", name)) for name in names}
    numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
    if not numbers:
        return next(iter(names), ""), None
    name = max(numbers, key=numbers.__getitem__)
    return name, numbers[name]


def devices(document: Mapping[str, Json], field: Field) -> list[str]:
    """Names (or CPU numbers) that the document has for a field with `*`; empty for any other."""
    prefix, star, leaf = field.path.partition("*")
    values = _at(document, prefix.removesuffix(".").split(".")) if star else None
    if isinstance(values, list):
        return [str(number) for number in range(len(values))]
    if not isinstance(values, Mapping):
        return []
    last = leaf.removeprefix(".")
    return [n for n, value in values.items() if not last or _has(value, last)]


def _device_series(series: str) -> tuple[Field | None, str]:
    leaf = series.rpartition(".")[2]
    for prefix, field in _BY_LEAF.get(leaf, []) if leaf else []:
        name = series[len(prefix) : -len(leaf) - 1]
        if name and series.startswith(prefix):
            return field, name
    for prefix, field in _BY_LEAF[""]:
        name = series[len(prefix) :]
        # A bare number of a list is a CPU's; everything else that ends in a name is an object.
        if name and series.startswith(prefix) and (name.isdecimal() or not is_list(field)):
            return field, name
    return None, ""


def is_list(field: Field) -> bool:
    """Whether the field is `cpu.per_core`, the only list of a snapshot's document."""
    return field.path == "cpu.per_core.*"


def empty(fields: tuple[Field, ...]) -> Document:
    """The part of a document that says nothing: None for each value, no device at all."""
    section: Document = {}
    for field in fields:
        path, star, _ = field.path.partition(".*")
        *parents, last = path.split(".")[1:]
        target = section
        for parent in parents:
            target = target.setdefault(parent, {})
        if not star:
            target[last] = None
        else:
            target.setdefault(last, [] if is_list(field) else {})
    return section


def _at(value: Json, path: Sequence[str]) -> Json:
    # To try takes half the time of looking first, and a page reads ten thousands of values.
    try:
        for name in path:
            value = value[name]
    except (KeyError, TypeError):
        return None
    return value


def _member(values: Json, name: str) -> Json:
    if isinstance(values, list):
        number = int(name)
        return values[number] if number < len(values) else None
    return values.get(name) if isinstance(values, dict) else None


def _has(value: Json, name: str) -> bool:
    return isinstance(value, Mapping) and name in value
