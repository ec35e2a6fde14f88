from datetime import UTC, datetime, timedelta

import pytest

from metrics.moments import BadMoment, parse_moment

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("now-6h", NOW - timedelta(hours=6)),
        ("now-90s", NOW - timedelta(seconds=90)),
        ("now-1w", NOW - timedelta(days=7)),
        ("now-1y", NOW - timedelta(days=365)),
        ("now+5m", NOW + timedelta(minutes=5)),
        ("now 5m", NOW + timedelta(minutes=5)),  # a plus that an address made a blank
        ("now-1d", NOW - timedelta(seconds=86_400)),  # across a change to summer time, too
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T12:00:00z", NOON),
        ("2026-03-01T12:00", NOON),
        ("2026-03-01 12:00:00", NOON),
        ("2026-03-01", NOON.replace(hour=0)),
        ("2026-03-01T14:00:00+02:00", NOON),
        ("2026-03-01T14:00:00 02:00", NOON),
        ("2026-03-01 14:00 0200", NOON),
        ("2026-03-01T07:00:00-05", NOON),
        ("2026-03-01T12:00:00.250Z", NOON + timedelta(milliseconds=250)),
        ("1772366400000", NOON),
        (" 1772366400000 ", NOON),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_understood(text, moment):
    assert parse_moment(text, NOW) == moment
    assert parse_moment(text, NOW).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "now-",
        "now-6",
        "now-6 h",
        "now--6h",
        "now-999999999y",
        "NaN",
        "inf",
        "-1",
        "1e9",
        "1.5",
        "9" * 16,
        "9" * 5_000,
        "٣",
        "2026-13-01",
        "2026-02-30",
        "2026-03-01T25:00",
        "2026-03-01T12:00:00+99:00",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31",
        "1969-12-31",
        "2026-W01-1",
        "2026-03-01T12:00:00Z; DROP TABLE users",
        "\x00",
    ],
)
def test_anything_else_is_refused_with_a_sentence(text):
    with pytest.raises(BadMoment) as error:
        parse_moment(text, NOW)
    assert str(error.value).endswith(".")
    assert len(str(error.value)) < 200
