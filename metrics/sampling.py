"""Runs the collectors: isolates their faults, times them, and makes one snapshot of them."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from metrics.collectors import COLLECTORS, empty
from metrics.collectors.base import Collector, Document, Json, NoData, Occasion
from metrics.kernel.host import Host, boot_id

logger = logging.getLogger("perfwatch.sampling")

_OK = "ok"
_LONGEST_MESSAGE = 200


class Snapshot(NamedTuple):
    """`timestamp` is aware and UTC, to the millisecond; `data` is ready for JSON."""

    timestamp: datetime
    data: Document


@dataclass
class _Slot:
    """One collector and what the next sample needs to know of the last ones."""

    collector: Collector[Any]
    read: Callable[[], Any] | None = None
    before: Any = None
    before_moment: float | None = None
    status: str = _OK


class _Schedule(NamedTuple):
    """When a sample was due, on the monotonic clock, and the interval then."""

    due: float
    interval: float


class Sampler:
    """Takes snapshots of one host. Not for use from several threads.

    Rates need two readings, so they are None in the first snapshot, and in the first one of a
    collector that had failed from the start.
    """

    def __init__(self, host: Host, collectors: Sequence[Collector[Any]] = COLLECTORS) -> None:
        self._host = host
        self._slots = [_Slot(collector) for collector in collectors]
        self._occasion = Occasion()
        self._schedule: _Schedule | None = None
        self._read_boot_id: Callable[[], str | None] | None = None

    def sample(
        self,
        *,
        interval: float | None = None,
        due: float | None = None,
        features: Mapping[str, Json] | None = None,
    ) -> Snapshot:
        """One snapshot, now. Never raises for a collector's sake.

        `interval` is the seconds between two samples as planned, `due` the epoch seconds at which
        this one was planned, `features` the settings that collectors follow from now on.
        """
        if features is not None:
            self._occasion.features = features
        now, moment = datetime.now(UTC), time.monotonic()
        timestamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._forget_after_reboot()
        data: Document = {
            "timestamp": timestamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        }
        collect_ms = {}
        self._occasion.readings.clear()
        for slot in self._slots:
            started = time.monotonic()
            data[slot.collector.name] = self._collect(slot)
            collect_ms[slot.collector.name] = round((time.monotonic() - started) * 1000, 3)
        lateness = None if due is None else now.timestamp() - due
        data["sampler"] = {
            "id": str(uuid.uuid4()),
            "collect_ms": collect_ms,
            "status": {slot.collector.name: slot.status for slot in self._slots},
            "lateness_ms": None if lateness is None else round(lateness * 1000, 1),
            "missed_ticks": self._missed_ticks(moment, lateness, interval),
            "interval_seconds": interval,
        }
        self._occasion.previous = data
        return Snapshot(timestamp, data)

    def close(self) -> None:
        """Lets go of all descriptors and threads; a later sample would open them anew."""
        for slot in self._slots:
            slot.read = slot.before = slot.before_moment = None
        self._read_boot_id = None

    def _missed_ticks(
        self, moment: float, lateness: float | None, interval: float | None
    ) -> int | None:
        """Ticks between this sample's and the last one's, on the clock that nobody sets."""
        before = self._schedule
        self._schedule = None
        if lateness is None or not interval:
            return None
        self._schedule = _Schedule(moment - lateness, interval)
        if before is None:
            return None
        # While the interval changes, the longer one is what may have been waited for.
        ticks = (self._schedule.due - before.due) / max(interval, before.interval)
        return max(0, round(ticks) - 1)

    def _forget_after_reboot(self) -> None:
        """Counters of another boot (a restored machine) have nothing to do with the ones kept."""
        try:
            self._read_boot_id = self._read_boot_id or boot_id(self._host)
            current = self._read_boot_id()
        except OSError:
            return
        if current != self._occasion.boot_id:
            for slot in self._slots:
                slot.before = slot.before_moment = None
        self._occasion.boot_id = current

    def _collect(self, slot: _Slot) -> Document:
        collector = slot.collector
        try:
            if slot.read is None:
                slot.read = collector.open(self._host, self._occasion)
            moment = time.monotonic()
            reading = self._occasion.readings[collector.name] = slot.read()
            before, before_moment = slot.before, slot.before_moment
            slot.before, slot.before_moment = reading, moment
            elapsed = None if before_moment is None else moment - before_moment
            section = collector.document(reading, before, elapsed)
            _drop_non_finite(section)
            status = _OK
        except NoData as reason:
            section, status = empty(collector.fields), f"no data: {_one_line(reason)}"
            self._report(slot, status)
        except Exception as error:
            # The only broad catch: one collector's fault, of whatever kind, must not cost the rest.
            section = empty(collector.fields)
            status = f"failed: {type(error).__name__}: {_one_line(error)}"
            self._report(slot, status, error)
        slot.status = status
        return section

    def _report(self, slot: _Slot, status: str, error: Exception | None = None) -> None:
        if status == slot.status:
            return
        if error is None:
            logger.info("Collector %s has %s", slot.collector.name, status)
            return
        # What the machine refuses needs no trace; anything else is a fault of the collector.
        trace = None if isinstance(error, OSError) else error
        logger.warning(
            "Collector %s %s; its values are missing until it works again.",
            slot.collector.name,
            status,
            exc_info=trace,
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST_MESSAGE]


def _drop_non_finite(values: Json) -> None:
    """Puts None in the place of NaN and infinity, which no database takes as JSON.

    In place: copying a document took a tenth of the time of its sample.
    """
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(value, float):
            if not math.isfinite(value):
                values[key] = None
        elif isinstance(value, (dict, list)):
            _drop_non_finite(value)
