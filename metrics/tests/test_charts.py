import re
from pathlib import Path

import pytest

from metrics.charts import CHARTS, COLOURS, DEVICES, GROUPS
from metrics.collectors.fields import Kind
from metrics.series import declared, unit_of


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_every_chart_draws_declared_numbers_of_one_unit(chart):
    fields = [declared(line.series) for line in chart.lines]
    assert len({unit_of(field) for field in fields}) == 1
    assert not {field.kind for field in fields} & {Kind.STATE, Kind.COUNTER}


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_every_chart_has_at_most_eight_lines_of_colours_that_exist(chart):
    css = Path("static/css/perfwatch.css").read_text()
    assert len(chart.lines) <= 8
    for line in chart.lines:
        for colour in [line.colour] if line.colour else COLOURS:
            assert f"--{colour}:" in css
            assert f".swatch.{colour} " in css


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_a_chart_has_devices_exactly_when_its_series_have(chart):
    for line in chart.lines:
        assert ("*" in line.series) == (chart.devices is not None)
        assert bool(line.colour) == ("*" not in line.series or chart.strip)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_what_a_chart_needs_is_declared(chart):
    if chart.needs:
        declared(chart.needs)


@pytest.mark.parametrize("kind", DEVICES, ids=lambda kind: kind.key)
def test_devices_are_ranked_by_declared_numbers_of_devices(kind):
    for path in kind.rank:
        assert "*" in path
        declared(path)


def test_both_ways_to_the_dark_theme_have_the_same_colours():
    css = Path("static/css/perfwatch.css").read_text()
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.S)[1]
    followed = re.search(r":root:not\(\[data-theme\]\) \{(.*?)\}", css, re.S)[1]
    assert chosen.split() == followed.split()


def test_keys_of_charts_are_unique():
    assert len({chart.key for chart in CHARTS}) == len(CHARTS)


def test_groups_stand_in_the_order_of_the_page():
    assert GROUPS == (
        "CPU",
        "Memory",
        "Disk",
        "Network",
        "Pressure",
        "Paging",
        "Counters",
        "PerfWatch itself",
    )


def test_the_same_series_has_the_same_colour_in_every_chart():
    colours = {}
    for chart in CHARTS:
        for line in chart.lines:
            assert colours.setdefault(line.series, line.colour) == line.colour
