import re
from pathlib import Path

import pytest

from metrics.charts import CHARTS, TILES, declared, drawn_series, maximum_of, read_tile
from metrics.collectors.fields import Kind, Level
from metrics.tests.builders import document


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_every_chart_draws_declared_numbers_of_one_unit(chart):
    fields = [declared(line.series) for line in chart.lines]
    assert len({field.unit for field in fields}) == 1
    assert not {field.kind for field in fields} & {Kind.STATE, Kind.COUNTER}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_every_chart_has_at_most_eight_lines_of_colours_that_exist(chart):
    css = Path("static/css/perfwatch.css").read_text()
    assert len(chart.lines) <= 8
    for line in chart.lines:
        assert f"--{line.colour}:" in css
        assert f".swatch.{line.colour} " in css


def test_both_ways_to_the_dark_theme_have_the_same_colours():
    css = Path("static/css/perfwatch.css").read_text()
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.S)[1]
    followed = re.search(r":root:not\(\[data-theme\]\) \{(.*?)\}", css, re.S)[1]
    assert chosen.split() == followed.split()


def test_keys_of_charts_and_tiles_are_unique():
    for catalogue in (CHARTS, TILES):
        assert len({entry.key for entry in catalogue}) == len(catalogue)


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.key)
def test_every_tile_reads_a_document_without_numbers(tile):
    reading = read_tile(tile, document())
    assert reading.value.number == "—"
    assert reading.level is Level.UNKNOWN
    assert reading.meaning.endswith(".")
    assert "{" not in reading.detail


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.key)
def test_every_tile_reads_no_document_at_all(tile):
    assert read_tile(tile, {}).value.number == "—"


def test_a_series_that_nobody_declares_is_refused_by_name():
    with pytest.raises(LookupError, match=r"cpu\.nonsense"):
        declared("cpu.nonsense")


def test_the_four_charts_of_the_live_page_are_there():
    assert [chart.key for chart in CHARTS] == ["cpu", "memory", "network", "disk"]


def test_each_series_is_fetched_once():
    assert len(drawn_series()) == len(set(drawn_series()))


def test_an_axis_ends_at_the_capacity_of_the_host():
    memory = next(chart for chart in CHARTS if chart.key == "memory")
    assert maximum_of(memory, document(memory__total_bytes=1024)) == 1024
    assert maximum_of(memory, document()) is None


def test_a_tile_of_devices_shows_the_highest_and_its_name():
    data = document()
    for name, percent in (("/", 40.0), ("/srv/a.b", 97.5), ("/boot", None)):
        data["disk"]["partitions"][name] = {"percent": percent, "free_bytes": 1024}
    tile = next(tile for tile in TILES if tile.key == "filesystem")
    reading = read_tile(tile, data)
    assert str(reading.value) == "97.5 %"
    assert reading.level is Level.CRITICAL
    assert reading.detail == "/srv/a.b, 1 KiB free"
