from datetime import timedelta

import pytest

from metrics.series import Point, columns, significant, thinned
from metrics.tests.builders import NOW, document

USAGE = "cpu.usage_percent"


def point(seconds, value, interval=5):
    at = NOW + timedelta(seconds=seconds)
    return Point(at, document(at, interval, cpu__usage_percent=value))


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0, 0),
        (12.34567, 12.35),
        (123456, 123500),
        (0.000123456, 0.0001235),
        (-99.999, -100),
        (5, 5),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        ("x", None),
    ],
)
def test_numbers_leave_with_four_significant_digits(value, rounded):
    assert significant(value) == rounded


def test_what_differs_with_each_sample_leaves_with_three():
    data = document(cpu__usage_percent=12.3456, memory__used_bytes=123456)
    series = columns([Point(NOW, data)], [USAGE, "memory.used_bytes"])["series"]
    assert series == {USAGE: [12.3], "memory.used_bytes": [123500]}


def test_a_shade_of_the_strip_is_a_whole_number():
    data = document(cpu__per_core=[12.6, None])
    series = columns([Point(NOW, data)], ["cpu.per_core.0", "cpu.per_core.1"])["series"]
    assert series == {"cpu.per_core.0": [13], "cpu.per_core.1": [None]}


def test_columns_are_times_in_milliseconds_and_one_list_a_series():
    result = columns([point(0, 1.0), point(5, 2.0)], [USAGE, "memory.percent"])
    start = int(NOW.timestamp() * 1000)
    assert result == {
        "times": [start, start + 5000],
        "series": {USAGE: [1, 2], "memory.percent": [None, None]},
    }


def test_a_gap_of_more_than_two_and_a_half_intervals_becomes_an_empty_point():
    result = columns([point(0, 1.0), point(13, 2.0)], [USAGE])
    start = int(NOW.timestamp() * 1000)
    assert result["times"] == [start, start + 5000, start + 13000]
    assert result["series"][USAGE] == [1, None, 2]


def test_one_missing_sample_is_no_gap():
    assert columns([point(0, 1.0), point(10, 2.0)], [USAGE])["series"][USAGE] == [1, 2]


def test_a_gap_before_the_first_point_is_seen_by_the_one_that_the_page_has():
    result = columns([point(60, 2.0)], [USAGE], previous=point(0, 1.0))
    assert result["series"][USAGE] == [None, 2]


def test_a_changed_interval_is_no_gap():
    result = columns([point(0, 1.0, interval=1), point(60, 2.0, interval=60)], [USAGE])
    assert result["series"][USAGE] == [1, 2]


def test_devices_with_dots_in_their_names_are_found():
    data = document()
    data["network"]["interfaces"]["eth0.100"] = {"bytes_recv_per_sec": 7.0}
    name = "network.interfaces.eth0.100.bytes_recv_per_sec"
    assert columns([Point(NOW, data)], [name])["series"][name] == [7]


def drawn(*values):
    return {"times": [1000 * n for n in range(len(values))], "series": {"a": list(values)}}


def test_few_points_stay_as_they_are():
    assert thinned(drawn(1, 2, 3), 3, {"a"}) == drawn(1, 2, 3)


def test_thinning_keeps_what_a_mean_hides_and_leaves_gaps():
    points = thinned(drawn(1, 3, None, None, 5, 99), 3, {"a"})
    assert points["times"] == [1000, 3000, 5000]
    assert points["series"]["a"] == [2, None, 52]
    assert points["low"]["a"] == [1, None, 5]
    assert points["high"]["a"] == [3, None, 99]


def test_a_series_that_no_chart_bands_has_no_low_and_high():
    points = thinned(drawn(1, 3, None, None, 5, 99), 3, set())
    assert points["low"] == points["high"] == {}
