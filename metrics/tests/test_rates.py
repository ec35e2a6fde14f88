"""Arithmetic that all collectors share."""

import pytest

from metrics.collectors.base import growths, percent, rate


@pytest.mark.parametrize(
    ("now", "before", "elapsed", "expected"),
    [
        (30, 10, 2.0, 10.0),
        (10, 10, 2.0, 0.0),
        (10, 30, 2.0, None),
        (30, None, 2.0, None),
        (None, 10, 2.0, None),
        (30, 10, None, None),
        (30, 10, 0.0, None),
        (30, 10, -1.0, None),
        (1, 0, 3.0, 0.333),
    ],
)
def test_a_rate_is_growth_over_elapsed_time_or_nothing(now, before, elapsed, expected):
    assert rate(now, before, elapsed) == expected


def test_one_counter_that_fell_makes_all_of_its_device_unknown():
    assert growths((5, 9), (3, 9)) == [2, 0]
    assert growths((5, 8), (3, 9)) is None
    assert growths((5, 8), None) is None


def test_a_share_of_nothing_is_unknown():
    assert percent(1, 4) == 25
    assert percent(0, 0) is None
    assert percent(None, 4) is None
