"""The events that are counted. A row more is an event more."""

from __future__ import annotations

from typing import NamedTuple

# linux/perf_event.h: perf_type_id and perf_sw_ids
HARDWARE, SOFTWARE, HW_CACHE = 0, 1, 3
_PAGE_FAULTS, _CONTEXT_SWITCHES, _MIGRATIONS, _MINOR_FAULTS, _MAJOR_FAULTS = 2, 3, 4, 5, 6


class Event(NamedTuple):
    """`type` and `config` as perf_event_open(2) wants them.

    Events of one `group` are counted at the same times and read together; the first that can be
    opened leads. Hardware has few counters: groups of it stay small, so that they fit.
    """

    name: str
    type: int
    config: int
    group: str


EVENTS = (
    Event("context_switches", SOFTWARE, _CONTEXT_SWITCHES, "software"),
    Event("cpu_migrations", SOFTWARE, _MIGRATIONS, "software"),
    Event("page_faults", SOFTWARE, _PAGE_FAULTS, "software"),
    Event("minor_faults", SOFTWARE, _MINOR_FAULTS, "software"),
    Event("major_faults", SOFTWARE, _MAJOR_FAULTS, "software"),
)
