"""What a collector is made of, and the arithmetic of rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from metrics.collectors.fields import Field

if TYPE_CHECKING:
    from metrics.kernel.host import Host

Reading = TypeVar("Reading")
Json: TypeAlias = Any  # what json.dumps takes: mypy has no useful type for it
Document: TypeAlias = dict[str, Json]


class NoData(Exception):
    """The kernel has nothing here; the message is the reason."""


@dataclass
class Occasion:
    """What a reader may ask about the sample that it reads for; the sampler keeps it current.

    `features` are the settings of that name, `previous` is the last snapshot's document, `readings`
    holds what the collectors before this one have read for the same sample, by name, `boot_id` is
    what the kernel drew at boot, if known.
    """

    features: Mapping[str, Json] = field(default_factory=dict)
    previous: Mapping[str, Json] = field(default_factory=dict)
    readings: dict[str, Any] = field(default_factory=dict)
    boot_id: str | None = None


@dataclass(frozen=True)
class Collector(Generic[Reading]):
    """One subject of the snapshot.

    `open(host, occasion)` opens what it needs and returns the function that takes one reading;
    both raise NoData when there is nothing to read. The occasion changes between readings, so a
    reader consults it at each. `document(now, before, elapsed)` is pure: it builds the subject's
    part of the snapshot from a reading, the one before it (None at first) and the monotonic
    seconds between them.
    """

    name: str
    fields: tuple[Field, ...]
    open: Callable[[Host, Occasion], Callable[[], Reading]]
    document: Callable[[Reading, Reading | None, float | None], Document]


@contextmanager
def missing_file_is_no_data() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoData(f"{error.filename} does not exist.") from error


def rate(now: float | None, before: float | None, elapsed: float | None) -> float | None:
    """Growth per second; None without two values, after a reset and without time between them."""
    if now is None or before is None or elapsed is None or elapsed <= 0 or now < before:
        return None
    return round((now - before) / elapsed, 3)


def growths(now: Sequence[int], before: Sequence[int] | None) -> list[int] | None:
    """Growth of each counter of one device; None for a new one, or when any went backwards.

    One counter that fell means that the device was made anew, and then the others lie too.
    """
    if before is None:
        return None
    grown = [n - b for n, b in zip(now, before, strict=True)]
    return None if min(grown) < 0 else grown


def percent(part: float | None, whole: float | None) -> float | None:
    """100 × part / whole; None when either is unknown or there is no whole."""
    if part is None or not whole:
        return None
    return round(100 * part / whole, 2)
