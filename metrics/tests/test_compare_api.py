from datetime import UTC, datetime, timedelta

import pytest

from metrics.models import MetricsSnapshot
from metrics.tests.builders import document

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = {"from": "2026-03-02T11:00:00", "to": "2026-03-02T12:00:00", "points": 60}


def hour_of(end, usage, **values):
    """An hour of samples, a minute apart, that ends there."""
    times = [end - timedelta(minutes=left) for left in range(60, 0, -1)]
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=at,
            metric_type="aggregated",
            metric_data=document(at, 60, cpu__usage_percent=usage, memory__percent=50.0, **values),
        )
        for at in times
    )


def ask(client, **parameters):
    given = {"field": ["memory.percent", "cpu.usage_percent"]} | HOUR | parameters
    return client.get("/api/compare/", given)


@pytest.mark.parametrize(
    ("compare", "offset"),
    [
        ("previous", 3_600),
        ("yesterday", 86_400),
        ("week", 7 * 86_400),
        ("2026-02-28T09:00:00..2026-02-28T10:00:00", 50 * 3_600),
    ],
)
def test_both_stretches_are_answered_and_what_changed_comes_first(viewer_client, compare, offset):
    hour_of(NOW, 80.0)
    hour_of(NOW - timedelta(seconds=offset), 20.0)
    found = ask(viewer_client, compare=compare).json()
    assert found["offset"] == offset
    assert set(found["this"]["series"]["cpu.usage_percent"]["mean"]) == {80}
    assert set(found["other"]["series"]["cpu.usage_percent"]["mean"]) == {20}
    assert found["this"]["start"] - found["other"]["start"] == offset * 1000
    first, second = found["changes"]
    assert (first["series"], first["mean"], first["percent"]) == (
        "cpu.usage_percent",
        [80, 20],
        300,
    )
    assert (second["series"], second["difference"], second["score"]) == ("memory.percent", 0, 0)


def test_a_stretch_without_samples_is_null(viewer_client):
    hour_of(NOW, 80.0)
    found = ask(viewer_client, compare="yesterday").json()
    assert found["changes"][0]["mean"][1] is None
    assert found["changes"][0]["score"] is None


@pytest.mark.parametrize(
    ("compare", "sentence"),
    [
        (None, "The parameter compare is wrong: It says what the range is compared with"),
        ("tomorrow", "It is one of: previous, yesterday, week, or a stretch written as FROM..TO."),
        ("2026-02-28T09:00:00..2026-02-28T11:00:00", "It is 7200 s long and the range 3600 s"),
        ("2026-02-28T11:00:00..2026-02-28T10:00:00", "It is -3600 s long"),
        ("soon..now", "'soon' is not understood"),
        ("x" * 101, "at most 100 characters"),
    ],
)
def test_a_comparison_that_cannot_be_is_a_sentence(viewer_client, compare, sentence):
    given = {} if compare is None else {"compare": compare}
    response = ask(viewer_client, **given)
    assert response.status_code == 400
    assert sentence in response.json()["error"]


def test_a_range_whose_other_lies_before_1970_is_refused(viewer_client):
    hour = {"from": "1970-01-02T00:00:00", "to": "1970-01-02T01:00:00"}
    assert "before 1970" in ask(viewer_client, compare="week", **hour).json()["error"]


def test_the_page_ranks_every_series_that_it_shows(viewer_client):
    hour_of(NOW, 80.0, cpu__user_percent=70.0)
    hour_of(NOW - timedelta(days=1), 20.0, cpu__user_percent=10.0)
    asked = {name: HOUR[name] for name in ("from", "to")} | {"compare": "yesterday"}
    text = viewer_client.get("/history/changes/", asked).text
    assert text.index("CPU: user") < text.index("CPU: nice")
    for part in ("70 %", "10 %", "+60 %", "+600 %", 'class="remarkable"'):
        assert part in text


def test_without_a_comparison_there_is_nothing_to_rank(viewer_client):
    assert "Nothing to compare." in viewer_client.get("/history/changes/").text


def test_the_page_keeps_the_comparison_of_its_address(viewer_client):
    hour = {name: HOUR[name] for name in ("from", "to")}
    written = "2026-02-28T09:00:00..2026-02-28T10:00:00"
    text = viewer_client.get("/history/", hour | {"compare": written}).text
    assert f'<option value="{written}" selected>' in text
    text = viewer_client.get("/history/", hour | {"compare": "week"}).text
    assert '<option value="week" selected>' in text


def test_a_wrong_comparison_of_the_page_is_a_400(viewer_client):
    response = viewer_client.get("/history/", {"compare": "2026-02-28..2026-03-01T01:00:00"})
    assert response.status_code == 400
    assert "both must be equally long" in response.text
