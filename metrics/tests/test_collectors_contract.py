"""Walks every collector, so that a new one is covered before it has tests of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from metrics.collectors import COLLECTORS, FIELDS, devices, empty, field_of, lookup
from metrics.collectors.fields import Kind
from metrics.kernel.host import Host
from metrics.sampling import Sampler

SCHEMA = {
    "cpu": "usage_percent user_percent system_percent idle_percent per_core frequency_mhz"
    " load_avg_1m load_avg_5m load_avg_15m temperature_celsius",
    "memory": "total_bytes available_bytes used_bytes percent swap_total_bytes swap_used_bytes"
    " swap_percent buffers_bytes cached_bytes",
    "network": "bytes_sent bytes_recv packets_sent packets_recv errin errout dropin dropout"
    " interfaces",
    "disk": "partitions read_bytes write_bytes read_count write_count",
    "perf_events": "cycles instructions ipc cache_references cache_misses cache_miss_percent"
    " branch_instructions branch_misses branch_miss_percent dtlb_load_misses",
    "memory_bandwidth": "pgpgin_per_sec pgpgout_per_sec pswpin_per_sec pswpout_per_sec"
    " pgfault_per_sec pgmajfault_per_sec",
}


@pytest.fixture(scope="module")
def snapshots():
    sampler = Sampler(Host())
    first = sampler.sample().data
    second = sampler.sample(interval=1, due=0).data
    sampler.close()
    return first, second


@pytest.fixture(params=[0, 1], ids=["first", "second"])
def document(request, snapshots):
    return snapshots[request.param]


def paths(value, path=""):
    """Series of all leaves of a document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, f"{path}.{number}")
    else:
        yield path


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
class TestDeclaration:
    def test_says_what_it_is_in_one_sentence_and_from_where(self, field):
        assert field.description[0].isupper()
        assert field.description.endswith(".")
        assert ". " not in field.description
        assert field.source

    def test_a_number_has_a_unit(self, field):
        unitless = field.kind is Kind.STATE or field.path.startswith("cpu.load_avg_")
        assert field.unit or unitless or field.kind is Kind.RATIO

    def test_the_name_says_the_unit(self, field):
        if field.path.endswith("_per_sec"):
            assert field.kind in {Kind.RATE, Kind.RATIO}
            assert field.unit.endswith("/s")
        if field.path.endswith("percent"):
            assert field.unit == "%"

    def test_a_ratio_is_of_declared_fields(self, field):
        if field.ratio:
            assert field_of(field.ratio.numerator).path == field.ratio.numerator
            assert field_of(field.ratio.denominator).path == field.ratio.denominator

    def test_it_is_found_by_its_own_name(self, field):
        assert field_of(field.path.replace("*", "0")) is field


def test_no_path_is_declared_twice_and_collectors_keep_to_their_section():
    assert len({field.path for field in FIELDS}) == len(FIELDS)
    assert len({collector.name for collector in COLLECTORS}) == len(COLLECTORS)
    for collector in COLLECTORS:
        assert {field.path.split(".")[0] for field in collector.fields} == {collector.name}


def test_every_value_of_a_document_is_declared(document):
    undeclared = [path for path in paths(document) if field_of(path) is None]
    assert undeclared == []


def test_every_declared_value_is_in_the_document(document):
    for collector in COLLECTORS:
        for field in collector.fields:
            *parents, last = field.path.partition(".*")[0].split(".")
            section = document
            for parent in parents:
                section = section[parent]
            if collector.name != "perf_events" or last in SCHEMA["perf_events"].split():
                assert last in section, field.path


def test_every_device_has_every_value_declared_for_devices(document):
    for field in FIELDS:
        prefix, star, _ = field.path.partition(".*.")
        if star:
            section = document
            for name in prefix.split("."):
                section = section[name]
            assert devices(document, field) == list(section), field.path


def test_every_key_of_the_schema_is_there(document):
    for section, keys in SCHEMA.items():
        assert set(keys.split()) <= document[section].keys()


def test_states_are_text_or_flags_and_all_else_are_numbers(document):
    for path in paths(document):
        value = lookup(document, path)
        kind = str | bool if field_of(path).kind is Kind.STATE else int | float
        if path.startswith("processes."):
            # Their numbers are no series: another process has the rank in the next sample.
            kind = str | int | float
        assert value is None or isinstance(value, kind), path
        assert field_of(path).kind is Kind.STATE or not isinstance(value, bool), path


def test_a_document_is_json(document):
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_rates_and_deltas_are_null_in_the_first_sample(snapshots):
    first, _ = snapshots
    for path in paths(first):
        if field_of(path).kind in (Kind.RATE, Kind.DELTA, Kind.RATIO):
            assert lookup(first, path) is None, path


def test_an_empty_section_has_the_keys_of_a_full_one(document):
    for collector in COLLECTORS:
        assert empty(collector.fields).keys() >= document[collector.name].keys()


def test_importing_the_collectors_imports_neither_psutil_nor_the_kernel_code():
    program = (
        "import sys, metrics.collectors\n"
        "print([n for n in sys.modules"
        " if n.split('.')[0] in ('psutil', 'django') or n.startswith('metrics.kernel')])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
