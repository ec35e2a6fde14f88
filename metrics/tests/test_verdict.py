"""The table of verdicts: from numbers to words."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from metrics.collectors import field_of
from metrics.verdict import FIELDS, LABELS, RULES, UNKNOWN, verdict

SHORT = {
    "usage": "cpu.usage_percent",
    "steal": "cpu.steal_percent",
    "iowait": "cpu.iowait_percent",
    "running": "cpu.procs_running",
    "cores": "cpu.core_count",
    "psi_cpu": "pressure.cpu.some_stall_percent",
    "psi_memory": "pressure.memory.some_stall_percent",
    "psi_io": "pressure.io.some_stall_percent",
    "ipc": "perf_events.ipc",
    "cache": "perf_events.cache_misses_per_kilo_instruction",
    "branches": "perf_events.branch_misses_per_kilo_instruction",
    "backend": "perf_events.stalled_backend_percent",
    "counted": "perf_events.running_percent",
}


def of(reason="", **values):
    read = {SHORT[name]: value for name, value in values.items()}.get
    return verdict(read, reason)


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("No verdict yet", {}),
        ("No verdict yet", {"iowait": 3, "steal": 0}),
        ("Idle", {"usage": 0}),
        ("Idle", {"usage": 9.9, "ipc": 0.3, "cache": 50}),
        ("Idle", {"usage": 2, "running": 9, "cores": 2}),
        ("Busy", {"usage": 10}),
        ("Busy", {"usage": 100, "cache": 50, "branches": 3}),
        ("Computing", {"usage": 50, "ipc": 2.1}),
        ("Computing", {"usage": 50, "ipc": 2.1, "cache": 20, "branches": 7.9}),
        ("Computing", {"usage": 50, "ipc": 0.5, "cache": 4.9}),
        ("Waiting for memory", {"usage": 50, "ipc": 0.99, "cache": 5}),
        ("Waiting for memory", {"usage": 99, "ipc": 0.2, "backend": 40}),
        ("Mispredicting", {"usage": 50, "ipc": 1.4, "branches": 8}),
        ("Mispredicting", {"usage": 50, "branches": 8}),
        ("Waiting for memory", {"usage": 50, "ipc": 0.9, "cache": 5, "branches": 8}),
        ("Waiting for disks", {"usage": 5, "iowait": 15}),
        ("Waiting for disks", {"usage": 30, "iowait": 2, "psi_io": 25}),
        ("Computing", {"usage": 80, "iowait": 2, "psi_io": 25, "ipc": 1}),
        ("Short of CPUs", {"usage": 80, "psi_cpu": 40, "ipc": 3}),
        ("Short of CPUs", {"usage": 95, "running": 4, "cores": 2}),
        ("Busy", {"usage": 95, "running": 3, "cores": 2}),
        ("Busy", {"usage": 95, "running": 30}),
        ("Busy", {"usage": 100, "psi_cpu": 39}),
        ("Short of memory", {"usage": 100, "psi_memory": 10, "psi_cpu": 90, "iowait": 50}),
        ("Starved by the hypervisor", {"usage": 90, "steal": 10, "psi_cpu": 90, "psi_memory": 20}),
        ("Starved by the hypervisor", {"steal": 10}),
    ],
)
def test_cases(title, values):
    assert of(**values).title == title


def test_the_numbers_that_led_there_stand_beside_it():
    found = of(usage=93.21, ipc=0.4123, cache=23.4, branches=1, steal=0)
    assert [(one.label, one.text) for one in found.evidence] == [
        ("CPU", "93.2 %"),
        ("instructions per cycle", "0.41"),
        ("cache misses per 1,000 instructions", "23.4"),
        ("branch misses per 1,000 instructions", "1"),
    ]
    assert found.caveat == ""


def test_of_several_cases_the_one_that_holds_is_the_evidence():
    found = of(usage=95, running=8, cores=2, psi_cpu=3)
    assert [one.field for one in found.evidence] == [
        "cpu.usage_percent",
        "cpu.procs_running",
        "cpu.core_count",
    ]


def test_without_counters_it_uses_what_there_is_and_says_so():
    found = of("This machine shows no hardware counters.", usage=60)
    assert found.title == "Busy"
    assert found.caveat == (
        "Without instructions per cycle: This machine shows no hardware counters."
    )


def test_what_was_counted_seldom_is_an_estimate():
    assert "estimates" in of(usage=60, ipc=2, counted=49).caveat
    assert of(usage=60, ipc=2, counted=50).caveat == ""


@pytest.mark.parametrize("value", [None, True, "12", {}])
def test_what_is_no_number_decides_nothing(value):
    assert of(usage=value) == UNKNOWN


def test_every_field_is_declared_and_has_a_name():
    assert all(field_of(path) for path in FIELDS)
    conditions = [one for rule in RULES for case in rule.cases for one in case]
    used = {path for one in conditions for path in (one.field, one.per) if path}
    assert used | {path for rule in RULES for path in rule.more} == set(LABELS)


def test_each_verdict_is_explained_once_and_in_this_order():
    text = Path(settings.BASE_DIR, "docs/counters.md").read_text()
    titles = re.findall(r"^### (.*)$", text, re.M)
    assert titles == [*(rule.title for rule in RULES), UNKNOWN.title]
