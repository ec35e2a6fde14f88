"""Files of what is stored: from the history page, from the API."""

import csv
import gzip
import io
import json
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from metrics import downloads, export
from metrics.export import Wanted, exported, iso, points_for, safe
from metrics.models import MetricsSnapshot
from metrics.tests.builders import NOW, document, stored, stored_every

pytestmark = pytest.mark.django_db
ADDRESS = "/history/export/"
USAGE = "cpu.usage_percent"
TOTAL = "memory.total_bytes"
RANGE = {"from": "2026-03-01T11:00", "to": "2026-03-01T12:00"}


def ask(client, address=ADDRESS, **parameters):
    return client.get(address, RANGE | {n.strip("_"): v for n, v in parameters.items()})


def body(response):
    assert response.status_code == 200, response.content
    return response.getvalue().decode()


def table(response):
    """The cells of CSV, by its own rules."""
    return list(csv.reader(io.StringIO(body(response), newline="")))


def insert(timestamp, text, metric_type="aggregated"):
    """A row as people write it by SQL."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
            " VALUES (%s, %s, %s)",
            [timestamp, metric_type, text],
        )


# --- CSV ------------------------------------------------------------------------------------


def test_csv_has_mean_minimum_and_maximum_of_each_point_with_units(viewer_client):
    for second, usage in ((0, 10.0), (5, 20.0), (10, 33.0)):
        at = NOW - timedelta(minutes=30) + timedelta(seconds=second)
        stored(at, cpu__usage_percent=usage, memory__total_bytes=17_179_869_184)
    response = ask(viewer_client, field=[USAGE, TOTAL, "cpu.load_avg_1m"], points="60")
    head, *rows = table(response)
    assert head == [
        "timestamp",
        "cpu.usage_percent [%]",
        "cpu.usage_percent min [%]",
        "cpu.usage_percent max [%]",
        "memory.total_bytes [bytes]",
        "cpu.load_avg_1m",
        "cpu.load_avg_1m min",
        "cpu.load_avg_1m max",
    ]
    assert len(rows) <= 60
    [row] = [row for row in rows if row[1]]
    assert row == ["2026-03-01T11:30:00Z", "21", "10", "33", "17179869184", "", "", ""]
    assert all(cells == [""] * 7 for _, *cells in rows if not cells[0])


def test_csv_of_samples_has_what_was_measured(viewer_client):
    at = datetime(2026, 3, 1, 11, 30, 0, 250_000, UTC)
    stored(at, cpu__usage_percent=12.345678912, perf_events__cycles=500, cpu__per_core=[1.5, None])
    stored(at + timedelta(seconds=5))
    fields = [USAGE, "perf_events.cycles", "cpu.per_core.0", "cpu.per_core.1"]
    head, *rows = table(ask(viewer_client, field=fields, rows="samples"))
    assert head[2] == "perf_events.cycles [count]"
    assert rows == [
        ["2026-03-01T11:30:00.250000Z", "12.345678912", "500", "1.5", ""],
        ["2026-03-01T11:30:05.250000Z", "", "", "", ""],
    ]


def test_lines_end_as_rfc_4180_says_and_the_file_has_a_name(viewer_client):
    response = ask(viewer_client, field=USAGE)
    assert response["Content-Type"] == "text/csv"
    assert response["Content-Disposition"] == (
        'attachment; filename="perfwatch-20260301T110000Z-20260301T120000Z.csv"'
    )
    text = body(response)
    assert text.startswith("timestamp,cpu.usage_percent [%],")
    assert text.count("\r\n") == text.count("\n") == len(text.splitlines())


EVIL = '=HYPERLINK("http://evil") \n,;=1+1'


def test_a_device_s_name_is_one_cell_and_no_formula(viewer_client):
    name = f"disk.partitions.{EVIL}.percent"
    stored(NOW - timedelta(minutes=30), disk__partitions={EVIL: {"percent": 41.0}})
    wanted = Wanted("csv", NOW - timedelta(hours=1), NOW, [name], "samples")
    text = "".join(piece.text for piece in exported(wanted, NOW))
    head, row = csv.reader(io.StringIO(text, newline=""))
    assert len(head) == len(row) == 2
    assert row[1] == "41"
    for separator in ",;\t":
        cells = [c.strip('" ') for line in text.splitlines() for c in line.split(separator)]
        assert not [cell for cell in cells if cell[:1] in "=+-@" and cell]


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "＝", " =", '"=', "a;=", "a\n@"])
def test_no_text_begins_a_formula(first):
    place = len(first) - 1
    assert safe(f"{first}1") == f"{first[:place]}'{first[place:]}1"


@pytest.mark.parametrize(
    "text", ["cpu.usage_percent [%]", "disk.devices.dm-0.read", "a=b", "-"[:0]]
)
def test_ordinary_names_stay_as_they_are(text):
    assert safe(text) == text


# --- JSON -----------------------------------------------------------------------------------


def test_json_names_its_columns_and_has_a_row_for_each_point(viewer_client):
    stored(NOW - timedelta(minutes=30), cpu__usage_percent=10.5)
    answer = json.loads(body(ask(viewer_client, format="json", field=[USAGE, TOTAL], points="60")))
    assert (answer["from"], answer["to"]) == ("2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z")
    assert (answer["of"], answer["step"], answer["complete"]) == ("points", 60, True)
    assert answer["columns"] == [
        {"name": "timestamp"},
        {"name": USAGE, "unit": "%", "of": "mean"},
        {"name": USAGE, "unit": "%", "of": "min"},
        {"name": USAGE, "unit": "%", "of": "max"},
        {"name": TOTAL, "unit": "bytes", "of": "last"},
    ]
    assert ["2026-03-01T11:30:00Z", 10.5, 10.5, 10.5, None] in answer["rows"]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_json_of_samples_is_whole_whatever_their_number(viewer_client, monkeypatch, count):
    monkeypatch.setattr(export, "SAMPLES_AT_ONCE", 3)
    stored_every(5, count, until=NOW - timedelta(minutes=1), cpu__usage_percent=2.0)
    answer = json.loads(body(ask(viewer_client, format="json", field=USAGE, rows="samples")))
    assert [value for _, value in answer["rows"]] == [2] * count


def test_a_chart_without_devices_is_an_empty_table(viewer_client):
    for format in ("csv", "json"):
        body(ask(viewer_client, format=format, chart="interfaces"))
        body(ask(viewer_client, format=format, chart="interfaces", rows="samples"))


# --- JSON Lines -----------------------------------------------------------------------------


def lines(response):
    return [json.loads(line) for line in body(response).split("\n")[:-1]]


def test_json_lines_hold_the_documents_as_they_are(viewer_client):
    row = stored(NOW - timedelta(minutes=2), host__name="é\u2028", cpu__usage_percent=1.25)
    [line] = lines(ask(viewer_client, format="jsonl"))
    assert line == {
        "id": row.id,
        "timestamp": "2026-03-01T11:58:00Z",
        "metric_type": "aggregated",
        "metric_data": row.metric_data,
    }


def test_the_range_is_half_open_and_rows_of_others_stay_theirs(viewer_client):
    for minutes in (61, 60, 30, 0):
        stored(NOW - timedelta(minutes=minutes))
    stored(NOW - timedelta(minutes=20), metric_type="mine")
    times = [line["timestamp"] for line in lines(ask(viewer_client, format="jsonl"))]
    assert times == ["2026-03-01T11:00:00Z", "2026-03-01T11:30:00Z"]


def test_every_row_comes_once_in_order_also_with_equal_times(viewer_client, monkeypatch):
    monkeypatch.setattr(export, "SNAPSHOTS_AT_ONCE", 3)
    rows = [stored(NOW - timedelta(minutes=9 - n // 4)) for n in range(20)]
    rows.append(stored(NOW - timedelta(minutes=20)))
    expected = [row.id for row in sorted(rows, key=lambda row: (row.timestamp, row.id))]
    assert [line["id"] for line in lines(ask(viewer_client, format="jsonl"))] == expected


def test_rows_that_people_wrote_by_sql_are_one_line_each(viewer_client):
    insert("2026-03-01 11:30:00+00:00", '{\r\n  "cpu": {"usage_percent":\n 45.2}\n}')
    [line] = lines(ask(viewer_client, format="jsonl"))
    assert line["timestamp"] == "2026-03-01T11:30:00Z"
    assert line["metric_data"] == {"cpu": {"usage_percent": 45.2}}


def test_times_are_written_alike_however_they_are_stored():
    for text in ("2026-03-01 11:30:00", "2026-03-01T11:30:00Z", "2026-03-01 13:30:00+02:00"):
        assert iso(text) == "2026-03-01T11:30:00Z"
    assert iso("2026-03-01 11:30:00.25") == "2026-03-01T11:30:00.250000Z"


def test_memory_does_not_grow_with_the_rows(monkeypatch):
    monkeypatch.setattr(export, "SNAPSHOTS_AT_ONCE", 20)
    data = document(NOW, host__name="x" * 5_000)
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=NOW - timedelta(seconds=n), metric_type="aggregated", metric_data=data
        )
        for n in range(400)
    )
    pieces = exported(Wanted("jsonl", NOW - timedelta(hours=1), NOW + timedelta(hours=1)), NOW)
    next(pieces)
    tracemalloc.start()
    assert sum(piece.rows for piece in pieces) == 380
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000  # all of it: 2.8 MB


def test_no_transaction_is_open_between_two_pieces(transactional_db):
    stored_every(5, 3, until=NOW - timedelta(minutes=1))
    pieces = exported(Wanted("jsonl", NOW - timedelta(hours=1), NOW), NOW)
    assert next(pieces).rows == 3
    assert not connection.in_atomic_block
    if connection.vendor == "postgresql":
        assert connection.connection.info.transaction_status.name == "IDLE"
    else:
        assert not connection.connection.in_transaction


def test_pages_of_rows_are_found_by_an_index(monkeypatch):
    monkeypatch.setattr(export, "SNAPSHOTS_AT_ONCE", 10)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)"
                " SELECT %s::timestamptz - i * interval '5 seconds', 'aggregated', '{}'"
                " FROM generate_series(1, 3000) i; ANALYZE metrics_snapshot",
                [NOW],
            )
    else:
        stored_every(5, 3, until=NOW - timedelta(minutes=1))
    with CaptureQueriesContext(connection) as queries:
        next(exported(Wanted("jsonl", NOW - timedelta(minutes=20), NOW), NOW))
    [query] = [one["sql"] for one in queries]
    with connection.cursor() as cursor:
        plan = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
        cursor.execute(plan + query)
        text = str(cursor.fetchall())
    assert "idx_metrics_type_timestamp" in text or "ix_metrics_snapshot_timestamp" in text
    assert "Seq Scan" not in text and "TEMP B-TREE" not in text


# --- what is on the screen ------------------------------------------------------------------


def test_without_fields_it_is_what_the_page_shows(viewer_client):
    now = datetime.now(UTC)
    stored(now, cpu__usage_percent=1.0, disk__devices={"sda": {"util_percent": 5.0}})
    address = {"from": "now-1h", "to": "now", "refresh": "5s"}
    head, *_ = table(viewer_client.get(ADDRESS, address))
    assert "disk.devices.sda.util_percent [%]" in head
    assert "cpu.user_percent max [%]" in head
    assert len(head) == len(set(head))
    head, *_ = table(viewer_client.get(ADDRESS, address | {"chart": "load"}))
    assert [name for name in head if "m" in name and "min" not in name and "max" not in name] == [
        "timestamp",
        *(f"cpu.load_avg_{span}" for span in ("1m", "5m", "15m")),
    ]
    head, *_ = table(viewer_client.get(ADDRESS, address | {"chart": "disk-util", "disk": "sdb"}))
    assert head[1] == "disk.devices.sdb.util_percent [%]"


def test_the_file_of_one_chart_is_named_after_it(viewer_client):
    response = ask(viewer_client, chart="load", format="json")
    assert 'filename="perfwatch-load-2026' in response["Content-Disposition"]


def test_many_series_have_fewer_points():
    assert points_for(["a"]) == 720
    assert points_for(["a"] * 500) == 300


def test_the_page_offers_its_own_address_as_files(viewer_client):
    stored(datetime.now(UTC), disk__devices={"sda": {"util_percent": 5.0}})
    query = "from=now-1h&to=now&chart=load&chart=disk-util&disk=sda&refresh=10s"
    text = viewer_client.get(f"/history/?{query}").text.replace("&amp;", "&")
    for format in ("csv", "json"):
        assert f'href="/history/export/?{query}&format={format}"' in text
        assert body(viewer_client.get(f"{ADDRESS}?{query}&format={format}"))
    assert f'href="/history/export/?{query}&format=jsonl"' in text
    assert "chart=load&disk=sda&refresh=10s&format=csv" in text  # of the chart itself
    assert "Export" not in viewer_client.get("/").text


# --- who may, and what is refused -----------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"format": "xml"}, "The parameter format is wrong: It is one of: csv, json, jsonl."),
        ({"rows": "all"}, "The parameter rows is wrong: It is one of: points, samples."),
        ({"field": "cpu.usage"}, "The parameter field is wrong: cpu.usage is not a field"),
        ({"field": "cpu.usage", "rows": "samples"}, "The parameter field is wrong: "),
        ({"field": "host.name"}, "is text or a flag"),
        ({"field": USAGE, "format": "jsonl"}, "field is wrong: JSON Lines hold whole snapshots"),
        ({"rows": "samples", "format": "jsonl"}, "The parameter rows is wrong: JSON Lines"),
        ({"field": [f"cpu.per_core.{n}" for n in range(201)]}, "At most 200"),
        ({"field": [f"cpu.per_core.{n}" for n in range(100)], "points": "2000"}, "points is wrong"),
        ({"points": "2001"}, "The parameter points is wrong: "),
        ({"chart": "cpus"}, "The parameter chart is wrong: It is one of: "),
        ({"from": "now"}, "It must be before the parameter to."),
        ({"from": ["now-1h", "now-2h"]}, "It is given more than once."),
        ({"feld": "x"}, "There is no parameter 'feld'."),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(viewer_client, parameters, sentence):
    for address in (ADDRESS, "/api/export/"):
        response = ask(viewer_client, address, **parameters)
        assert response.status_code == 400
        assert sentence in response.text.replace("&#x27;", "'")
    assert downloads._room._value == downloads.MOST_AT_ONCE


def test_it_needs_a_login_and_only_reads(client, viewer_client):
    assert ask(client).status_code == 302
    assert ask(client, "/api/export/").status_code == 401
    assert viewer_client.post(ADDRESS).status_code == 405
    refused = viewer_client.post("/api/export/")
    assert (refused.status_code, list(refused.json())) == (405, ["error"])


def test_programs_get_the_same_with_their_token(client, viewer):
    from accounts import tokens

    stored(NOW - timedelta(minutes=2))
    bearer = {"Authorization": f"Bearer {tokens.issue(viewer, 'script')}"}
    response = client.get("/api/export/", RANGE | {"format": "jsonl"}, headers=bearer)
    assert len(lines(response)) == 1


def test_it_is_streamed_and_compressed_on_the_way(viewer_client):
    stored(NOW - timedelta(minutes=2))
    response = viewer_client.get(
        ADDRESS, RANGE | {"format": "jsonl"}, headers={"Accept-Encoding": "gzip"}
    )
    assert response.streaming and "Content-Length" not in response
    assert json.loads(gzip.decompress(response.getvalue()))["metric_type"] == "aggregated"
    assert "no-store" in response["Cache-Control"]


def test_a_few_run_at_once_and_the_next_is_told(viewer_client):
    running = [ask(viewer_client, field=USAGE) for _ in range(downloads.MOST_AT_ONCE)]
    for address in (ADDRESS, "/api/export/"):
        response = ask(viewer_client, address, field=USAGE)
        assert response.status_code == 503
        assert "Two exports are running" in response.text
    assert body(running.pop())
    for response in (*running, ask(viewer_client, field=USAGE)):
        assert body(response)


def test_a_download_that_nobody_reads_makes_room():
    for _ in range(3 * downloads.MOST_AT_ONCE):
        response = downloads.export(RequestFactory().get(ADDRESS, {"field": USAGE}))
        assert response.status_code == 200
        del response


def test_a_database_that_is_away_is_told_before_the_file_begins(viewer_client, monkeypatch):
    def away(*_):
        raise OperationalError("no route to host")

    monkeypatch.setattr(export, "first_place", away)
    for _ in range(downloads.MOST_AT_ONCE + 1):
        response = ask(viewer_client, "/api/export/", format="jsonl")
        assert (response.status_code, response.json()) == (
            503,
            {"error": "The database does not answer."},
        )


# --- the document ---------------------------------------------------------------------------


def documented():
    blocks = re.findall(r"```\n(GET .*?)```", Path("docs/export.md").read_text(), re.S)
    return [line.removeprefix("GET ") for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("address", documented())
def test_the_examples_of_the_document_are_answered(viewer_client, address):
    body(viewer_client.get(address))


def test_the_document_names_every_parameter_and_bound():
    text = Path("docs/export.md").read_text()
    own = downloads.ExportForm.base_fields.keys() - {"refresh", "tables"}
    assert all(f"`{name}`" in text for name in own | {"from", "to"} if name != "compare")
    assert f"at most {export.MOST_VALUES:,}" in text
    assert len([1 for n in range(1, 1000) if points_for(["a"] * n) == export.POINTS]) == 208
