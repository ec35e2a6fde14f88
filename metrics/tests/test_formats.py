import pytest

from metrics.collectors.fields import Unit
from metrics.formats import SCALES, duration, megabytes, text_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, Unit.BYTES, "0 B"),
        (1023, Unit.BYTES, "1023 B"),
        (1536, Unit.BYTES, "1.50 KiB"),
        (17179869184, Unit.BYTES, "16 GiB"),
        (12_897_485.0, Unit.BYTES_PER_SECOND, "12.3 MiB/s"),
        (2048, Unit.KIB_PER_SECOND, "2 MiB/s"),
        (43.21, Unit.PERCENT, "43.2 %"),
        (100.0, Unit.PERCENT, "100 %"),
        (1_234_567, Unit.PER_SECOND, "1.23 M/s"),
        (8, Unit.COUNT, "8"),
        (0.61, Unit.NONE, "0.61"),
        (None, Unit.PERCENT, "—"),
        (float("nan"), Unit.PERCENT, "—"),
        ("text", Unit.NONE, "—"),
    ],
)
def test_a_number_reads_as_people_expect(value, unit, text):
    assert str(text_of(value, unit)) == text


def test_every_unit_has_a_scale_and_is_named_in_its_text():
    for unit in Unit:
        text = str(text_of(1.5, unit))
        assert text.startswith(("1.5", "1.50"))
        assert text.endswith(SCALES[unit].suffix)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (40.9, "40 s"),
        (3_600, "1 h"),
        (3_725, "1 h 2 min"),
        (1_051_200, "12 d 4 h"),
        (None, "—"),
    ],
)
def test_a_time_span_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 MB"), (1, "0.1 MB"), (9_870_000, "9.9 MB"), (10_400_000, "10 MB"), (3e9, "3,000 MB")],
)
def test_sizes_on_disk_are_told_in_megabytes(size, text):
    assert megabytes(size) == text
