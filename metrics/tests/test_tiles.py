import pytest

from metrics.collectors.fields import Level
from metrics.series import declared
from metrics.tests.builders import document
from metrics.tiles import TILES, read_tile, summary, worst

ALL = [one for tile in TILES for one in (tile, tile.instead) if one]


def tile(key):
    return next(tile for tile in TILES if tile.key == key)


@pytest.mark.parametrize("tile", ALL, ids=lambda tile: tile.title)
def test_every_tile_reads_a_document_without_numbers(tile):
    reading = read_tile(tile, document())
    assert reading.value.number == "—"
    assert reading.level is Level.UNKNOWN
    assert reading.meaning.endswith(".")
    assert reading.missing
    assert "{" not in reading.detail


@pytest.mark.parametrize("tile", ALL, ids=lambda tile: tile.title)
def test_every_tile_reads_no_document_at_all(tile):
    reading = read_tile(tile, {})
    assert (reading.value.number, reading.detail) == ("—", "No sample yet.")


def test_a_series_that_nobody_declares_is_refused_by_name():
    with pytest.raises(LookupError, match=r"cpu\.nonsense"):
        declared("cpu.nonsense")


def test_a_tile_of_devices_shows_the_highest_and_its_name():
    data = document()
    for name, percent in (("/", 40.0), ("/srv/a.b", 97.5), ("/boot", None)):
        data["disk"]["partitions"][name] = {"percent": percent, "free_bytes": 1024}
    reading = read_tile(tile("filesystem"), data)
    assert str(reading.value) == "97.5 %"
    assert reading.level is Level.CRITICAL
    assert reading.detail == "/srv/a.b, 1\xa0KiB free; inodes\xa0—"


def test_of_a_long_name_the_tile_shows_the_end_and_the_summary_all():
    data = document()
    name = "/srv/volumes/customer-25/data"
    data["disk"]["partitions"][name] = {"percent": 97.5}
    readings = [read_tile(tile("filesystem"), data)]
    assert readings[0].detail.startswith("…customer-25/data, ")
    assert summary(readings) == f"Critical: Fullest filesystem 97.5\xa0% ({name})."


def test_a_filesystem_without_inodes_is_critical_although_it_has_space():
    data = document()
    data["disk"]["partitions"]["/"] = {"percent": 40.0, "inodes_percent": 10.0}
    data["disk"]["partitions"]["/var"] = {"percent": 30.0, "inodes_percent": 99.0}
    reading = read_tile(tile("filesystem"), data)
    assert reading.level is Level.CRITICAL
    assert reading.detail == reading.cause == "inodes of /var 99\xa0%"


@pytest.mark.parametrize(
    ("load", "level"), [(8.0, Level.OK), (12.0, Level.WARNING), (24.0, Level.CRITICAL)]
)
def test_load_is_judged_beside_the_number_of_cpus(load, level):
    reading = read_tile(tile("load"), document(cpu__load_avg_1m=load, cpu__core_count=8))
    assert reading.level is level
    assert reading.detail.startswith("of 8 CPUs")


def test_a_load_on_an_unknown_number_of_cpus_is_not_judged():
    assert read_tile(tile("load"), document(cpu__load_avg_1m=99.0)).level is Level.UNKNOWN


def test_pressure_is_that_of_the_resource_with_the_highest():
    data = document()
    for resource, share in (("cpu", 1.0), ("memory", 12.0), ("io", 3.0)):
        data["pressure"][resource]["some_avg10"] = share
    reading = read_tile(tile("pressure"), data)
    assert (str(reading.value), reading.level) == ("12 %", Level.WARNING)
    assert reading.series == "pressure.memory.some_avg10"
    assert "memory" in reading.detail


def test_what_waits_behind_the_number_sets_the_level_and_is_named():
    reading = read_tile(tile("cpu"), document(cpu__usage_percent=5.0, cpu__iowait_percent=45.0))
    assert reading.level is Level.CRITICAL
    assert reading.detail == reading.cause == "iowait 45\xa0%"


def test_without_instructions_the_tile_shows_what_is_counted_and_why_not_more():
    data = document(perf_events__context_switches=500, perf_events__reason="No PMU here.")
    reading = read_tile(tile("perf"), data)
    assert str(reading.value) == "100 /s"
    assert reading.detail == "No PMU here."
    reading = read_tile(tile("perf"), document(perf_events__ipc=1.5))
    assert (reading.tile.title, str(reading.value)) == ("IPC", "1.50")


def test_a_missing_number_has_the_collectors_own_reason():
    data = document(sampler__status={"pressure": "failed: OSError: broken"})
    assert read_tile(tile("pressure"), data).missing == "Failed: OSError: broken"


def test_the_summary_names_the_worst_first():
    data = document(cpu__usage_percent=85.0, memory__percent=99.0)
    readings = [read_tile(tile, data) for tile in TILES]
    assert summary(readings).startswith("Critical: Memory 99\xa0%;")
    assert "Warning: CPU 85\xa0%" in summary(readings)
    assert worst(readings) is Level.CRITICAL


def test_without_any_number_nothing_is_said_to_be_well():
    readings = [read_tile(tile, {}) for tile in TILES]
    assert summary(readings) == ""
