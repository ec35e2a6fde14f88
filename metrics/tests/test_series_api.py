"""`GET /api/series/`: what it answers, and what it refuses."""

import gzip
import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from metrics import api, rollups
from metrics.collectors import FIELDS
from metrics.history import History, Line
from metrics.series import Statistics, json_column, significant
from metrics.tests.builders import stored, stored_every

pytestmark = pytest.mark.django_db
ADDRESS = "/api/series/"
USAGE = "cpu.usage_percent"


def ask(client, query="", **parameters):
    parameters = {name.strip("_"): value for name, value in parameters.items()}
    parameters = {"field": USAGE, "from": "now-10m"} | parameters
    given = {name: value for name, value in parameters.items() if value is not None}
    if query:
        return client.get(f"{ADDRESS}?{query}")
    return client.get(ADDRESS, given)


def test_columns_with_start_and_step(viewer_client):
    rows = stored_every(5, 20, cpu__usage_percent=12.345678)
    stored_at = rows[-1].timestamp.timestamp()
    answer = ask(viewer_client).json()
    assert (answer["resolution"], answer["step"]) == (None, 5)
    assert answer["start"] % 5_000 == 0
    line = answer["series"][USAGE]
    assert (line["unit"], line["kind"]) == ("%", "gauge")
    assert len(line["mean"]) == len(line["min"]) == len(line["max"]) == answer["points"] <= 720
    index = int((stored_at - answer["start"] / 1000) // 5)
    assert line["mean"][index] == line["min"][index] == line["max"][index] == 12.35
    assert line["mean"][0] is None
    assert line["statistics"] == dict.fromkeys(("min", "mean", "p95", "max", "last"), 12.35)


def test_resolution_coverage_and_completeness_are_stated(viewer_client):
    stored_every(120, 30 * 12, cpu__usage_percent=1.0)
    answer = ask(viewer_client, from_="now-24h").json()
    assert (answer["resolution"], answer["step"], answer["interval"]) == (60, 120, 120)
    assert answer["coverage"] == pytest.approx(0.5, abs=0.002)
    assert answer["complete"] is True
    assert answer["samples"] == 360


def test_while_roll_ups_are_made_it_says_so(viewer_client):
    stored_every(600, 20, cpu__usage_percent=1.0)
    rollups.step(datetime.now(UTC))
    assert ask(viewer_client, from_="now-24h").json()["complete"] is False


def test_several_fields_in_their_order_each_once(viewer_client):
    fields = ["network.interfaces.eth0.100.bytes_recv_per_sec", USAGE, USAGE, "cpu.per_core.0"]
    answer = ask(viewer_client, field=fields).json()
    assert list(answer["series"]) == [fields[0], fields[1], fields[3]]


def test_counts_per_sample_are_answered_per_second(viewer_client):
    stored(datetime.now(UTC) - timedelta(minutes=1), perf_events__cycles=500)
    line = ask(viewer_client, field="perf_events.cycles").json()["series"]["perf_events.cycles"]
    assert line["unit"] == "/s"
    assert line["statistics"]["mean"] == 100


def test_capacities_have_no_minimum_and_maximum(viewer_client):
    stored(datetime.now(UTC) - timedelta(minutes=1), memory__total_bytes=8 * 2**30)
    name = "memory.total_bytes"
    line = ask(viewer_client, field=name).json()["series"][name]
    assert line["min"] is line["max"] is None
    assert line["statistics"]["last"] == 8_590_000_000


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("now-6h", "now"),
        ("2026-03-01T12:00:00Z", "2026-03-01T18:00"),
        ("2026-03-01T14:00:00+02:00", "1772388000000"),
    ],
)
def test_every_way_to_write_a_time_is_understood(viewer_client, start, end):
    answer = ask(viewer_client, from_=start, to=end, points="10").json()
    assert answer["step"] * answer["points"] == pytest.approx(6 * 3_600, rel=0.2)


def test_a_plus_that_the_address_made_a_blank_is_understood(viewer_client):
    query = f"field={USAGE}&from=2026-03-01T14:00:00+02:00&to=2026-03-01T15:00:00%2B02:00"
    assert ask(viewer_client, query).json()["start"] == 1_772_366_400_000


def test_without_a_range_it_is_the_last_day(viewer_client):
    answer = ask(viewer_client, from_=None).json()
    assert (answer["step"], answer["points"]) == (120, 720)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"field": None}, "The parameter field is wrong: It names a series, such as"),
        ({"field": ""}, "The parameter field is wrong: It names a series"),
        ({"field": "cpu.usage"}, "The parameter field is wrong: cpu.usage is not a field"),
        ({"field": "host.name"}, "host.name is text or a flag"),
        ({"field": "cpu.per_core.*"}, "needs the name of a device"),
        ({"field": "x" * 4_201}, "A name has 1 to 4200 characters"),
        ({"field": [f"cpu.per_core.{n}" for n in range(201)]}, "At most 200 are answered"),
        ({"field": [f"cpu.per_core.{n}" for n in range(200)], "points": "2000"}, "Fields times"),
        ({"points": "0"}, "The parameter points is wrong: "),
        ({"points": "2001"}, "The parameter points is wrong: "),
        ({"points": "NaN"}, "The parameter points is wrong: "),
        ({"points": "9" * 5_000}, "The parameter points is wrong: "),
        ({"points": ["10", "20"]}, "The parameter points is wrong: It is given more than once."),
        ({"from": "NaN"}, "The parameter from is wrong: 'NaN' is not understood"),
        ({"from": "yesterday"}, "The parameter from is wrong: "),
        ({"from": "1960-01-01"}, "not between 1970 and 2200"),
        ({"from": "now", "to": "now-1h"}, "It must be before the parameter to."),
        ({"from": "now", "to": "now"}, "It must be before the parameter to."),
        ({"from": "0", "to": "500"}, "at least a second"),
        ({"from": "0", "to": "2190-01-01"}, "longer than 100 years"),
        ({"from": ["now-1h", "now-2h"]}, "The parameter from is wrong: It is given more than"),
        ({"to": "\x00"}, "The parameter to is wrong: "),
        ({"feld": "x"}, "There is no parameter 'feld'."),
    ],
)
def test_what_is_wrong_is_a_sentence_in_json(viewer_client, parameters, sentence):
    response = ask(viewer_client, **parameters)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"
    error = response.json()["error"]
    assert sentence in error
    assert error.endswith(".")
    assert len(error) < 500


def test_more_parameters_than_anybody_means_are_refused_in_json(viewer_client):
    response = viewer_client.get(f"{ADDRESS}?{'field=a&' * 2_000}")
    assert response.status_code == 400
    assert response.json() == {"error": "The request is malformed."}


def test_whoever_is_not_logged_in_is_told_in_json(client):
    response = ask(client)
    assert response.status_code == 401
    assert "Log in" in response.json()["error"]
    assert client.get("/").status_code == 302


def test_it_only_reads(viewer_client):
    assert viewer_client.post(ADDRESS).status_code == 405


def test_a_database_that_is_away_is_told_in_json(viewer_client, monkeypatch):
    def away(*_):
        raise OperationalError("no route to host")

    monkeypatch.setattr(api, "history", away)
    response = ask(viewer_client)
    assert response.status_code == 503
    assert response.json() == {"error": "The database does not answer."}


def test_a_range_of_the_past_is_not_sent_twice(viewer_client):
    times = {"from": "2026-03-01", "to": "2026-03-02"}
    first = ask(viewer_client, **times)
    assert first["Cache-Control"] == "private, no-cache"
    again = viewer_client.get(
        ADDRESS, {"field": USAGE} | times, headers={"If-None-Match": first["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_head_has_the_tag_of_get_and_is_not_sent_twice_either(viewer_client):
    asked = {"field": USAGE, "from": "2026-03-01", "to": "2026-03-02"}
    tag = viewer_client.get(ADDRESS, asked)["ETag"]
    assert viewer_client.head(ADDRESS, asked)["ETag"] == tag
    again = viewer_client.head(ADDRESS, asked, headers={"If-None-Match": tag})
    assert (again.status_code, again["ETag"]) == (304, tag)


def test_it_is_compressed(viewer_client):
    response = viewer_client.get(ADDRESS, {"field": USAGE}, headers={"Accept-Encoding": "gzip"})
    assert response["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(response.content))["points"] == 720


def test_the_number_of_queries_is_small(viewer_client):
    stored_every(60, 100, cpu__usage_percent=1.0)
    while rollups.step(datetime.now(UTC)):
        pass
    with CaptureQueriesContext(connection) as queries:
        ask(viewer_client, from_="now-24h", field=[USAGE, "memory.used_bytes", "cpu.per_core.0"])
    # Session, user, state, chunks, snapshots.
    assert len(queries) == 5


def test_names_that_need_care_survive_the_way(viewer_client):
    field = 'disk.partitions./mnt/a "b" \\ é.percent'
    stored(
        datetime.now(UTC) - timedelta(minutes=1),
        disk__partitions={'/mnt/a "b" \\ é': {"percent": 41.0}},
    )
    assert ask(viewer_client, field=field).json()["series"][field]["statistics"]["max"] == 41


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None],
        [0, 0.0, 1, -1, 100.0, 12.345678, -0.00012345678, 1_234_567, 1.5e300, 123456789012],
        [None, 99.995, 99999, 0.1 + 0.2, 5e-324],
    ],
)
def test_numbers_have_four_significant_digits(values):
    assert json.loads(json_column(values)) == [significant(value) for value in values]


def test_six_series_of_720_points_take_at_most_60_kilobytes():
    chance = random.Random(1)

    def numbers():
        return [chance.uniform(0, 10 ** chance.randint(0, 6)) for _ in range(720)]

    lines = [
        Line(f"disk.{n}", FIELDS[0], numbers(), numbers(), numbers(), Statistics(*numbers()[:5]))
        for n in range(6)
    ]
    found = History(0, 120, 720, 60, 5, 1.0, 17_280, True, lines)
    assert len(gzip.compress(api.answer(found).encode(), 6)) < 60 * 1024
