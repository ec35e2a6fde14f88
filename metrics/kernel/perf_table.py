"""The events that are counted. A row more is an event more."""

from __future__ import annotations

from typing import NamedTuple

# linux/perf_event.h: perf_type_id, perf_hw_id, perf_sw_ids, perf_hw_cache_id
HARDWARE, SOFTWARE, HW_CACHE = 0, 1, 3
_CYCLES, _INSTRUCTIONS, _REFERENCES, _MISSES, _BRANCHES, _BRANCH_MISSES = 0, 1, 2, 3, 4, 5
_STALLED_FRONTEND, _STALLED_BACKEND = 7, 8
_PAGE_FAULTS, _CONTEXT_SWITCHES, _MIGRATIONS, _MINOR_FAULTS, _MAJOR_FAULTS = 2, 3, 4, 5, 6
_L1D, _LLC, _DTLB, _ITLB = 0, 2, 3, 4
_MISS = 1 << 16  # of loads: perf_hw_cache_op_id 0; without it all accesses


class Event(NamedTuple):
    """`type` and `config` as perf_event_open(2) wants them.

    Events of one `group` are counted at the same times and read together; the first that can be
    opened leads. CPUs have as few as two counters that are free, so groups of them stay small, and
    what is divided by each other is in one group.
    """

    name: str
    type: int
    config: int
    group: str


EVENTS = (
    Event("cycles", HARDWARE, _CYCLES, "core"),
    Event("instructions", HARDWARE, _INSTRUCTIONS, "core"),
    Event("branch_instructions", HARDWARE, _BRANCHES, "branches"),
    Event("branch_misses", HARDWARE, _BRANCH_MISSES, "branches"),
    Event("cache_references", HARDWARE, _REFERENCES, "cache"),
    Event("cache_misses", HARDWARE, _MISSES, "cache"),
    Event("l1d_loads", HW_CACHE, _L1D, "l1d"),
    Event("l1d_load_misses", HW_CACHE, _L1D | _MISS, "l1d"),
    Event("llc_loads", HW_CACHE, _LLC, "llc"),
    Event("llc_load_misses", HW_CACHE, _LLC | _MISS, "llc"),
    Event("dtlb_loads", HW_CACHE, _DTLB, "tlb"),
    Event("dtlb_load_misses", HW_CACHE, _DTLB | _MISS, "tlb"),
    Event("itlb_load_misses", HW_CACHE, _ITLB | _MISS, "tlb"),
    Event("stalled_cycles_frontend", HARDWARE, _STALLED_FRONTEND, "stalls"),
    Event("stalled_cycles_backend", HARDWARE, _STALLED_BACKEND, "stalls"),
    Event("context_switches", SOFTWARE, _CONTEXT_SWITCHES, "software"),
    Event("cpu_migrations", SOFTWARE, _MIGRATIONS, "software"),
    Event("page_faults", SOFTWARE, _PAGE_FAULTS, "software"),
    Event("minor_faults", SOFTWARE, _MINOR_FAULTS, "software"),
    Event("major_faults", SOFTWARE, _MAJOR_FAULTS, "software"),
)
