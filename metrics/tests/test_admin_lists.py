"""Snapshots and roll-ups in the administration: read along an index, and read only."""

import re
from datetime import timedelta
from itertools import chain

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import JSONField, Value
from django.test.utils import CaptureQueriesContext

from metrics.admin import as_html, as_text
from metrics.models import MetricsSnapshot, Rollup
from metrics.seeking import SeekingAdmin
from metrics.tests.builders import NOW, stored

pytestmark = pytest.mark.django_db
SNAPSHOTS = "/admin/metrics/metricssnapshot/"
ROLLUPS = "/admin/metrics/rollup/"
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture
def five_a_page(monkeypatch):
    monkeypatch.setattr(SeekingAdmin, "list_per_page", 5)


def chunk(start=NOW, resolution=60, collector="cpu", **data):
    data = {"n": [5], "seconds": [60], "interval": [12], "s": {}} | data
    return Rollup.objects.create(start=start, resolution=resolution, collector=collector, data=data)


def listed(answer):
    """The ids of the rows of a page."""
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


def link(answer, word):
    found = re.search(rf'<a href="([^"]*)"[^>]*>{word}</a>', answer.text)
    return found and found[1].replace("&amp;", "&")


def pages(client, path):
    """The ids on each page, following the link to the older ones."""
    found, address = [], path
    while address:
        answer = client.get(path + address if address.startswith("?") else address)
        found.append(listed(answer))
        address = link(answer, "Older")
        assert len(found) < 20
    return found


# --- snapshots ------------------------------------------------------------------------------


def test_the_newest_come_first_and_all_are_reached(administrator_client, five_a_page):
    rows = [stored(NOW + n * SECOND).pk for n in range(12)]
    assert pages(administrator_client, SNAPSHOTS) == [
        rows[:6:-1],
        rows[6:1:-1],
        rows[1::-1],
    ]


def test_rows_of_one_moment_are_neither_left_out_nor_shown_twice(administrator_client, five_a_page):
    rows = [stored(NOW).pk for _ in range(11)]
    assert [*chain(*pages(administrator_client, SNAPSHOTS))] == rows[::-1]


def test_a_full_page_that_is_the_last_one_has_no_older_one(administrator_client, five_a_page):
    for n in range(5):
        stored(NOW + n * SECOND)
    answer = administrator_client.get(SNAPSHOTS)
    assert len(listed(answer)) == 5
    assert link(answer, "Older") is None


def test_an_older_page_leads_back_to_the_newest(administrator_client, five_a_page):
    for n in range(7):
        stored(NOW + n * SECOND)
    stretch = f"?since={NOW:%Y-%m-%dT%H:%M}"
    first = administrator_client.get(SNAPSHOTS + stretch)
    assert link(first, "Newest") is None
    second = administrator_client.get(SNAPSHOTS + link(first, "Older"))
    assert len(listed(second)) == 2
    again = administrator_client.get(SNAPSHOTS + link(second, "Newest"))
    assert listed(again) == listed(first)


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ("since=2026-03-01T10:00", [12, 11, 10]),
        ("until=2026-03-01T10:00", [9, 8]),
        ("since=2026-03-01T09:00&until=2026-03-01T11:00", [10, 9]),
        ("since=2026-03-01", [12, 11, 10, 9, 8]),
        ("since=&until=", [12, 11, 10, 9, 8]),
        ("since=2027-01-01T00:00", []),
    ],
)
def test_a_stretch_of_time_is_kept(administrator_client, query, hours):
    rows = {hour: stored(NOW.replace(hour=hour)).pk for hour in range(8, 13)}
    answer = administrator_client.get(f"{SNAPSHOTS}?{query}")
    assert listed(answer) == [rows[hour] for hour in hours]
    assert ("There is nothing here." in answer.text) is not bool(hours)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=yesterday", "Enter a valid date/time."),
        ("since=2026-13-01T00:00", "Enter a valid date/time."),
        ("since=2026-03-02&until=2026-03-02", "This must be later than From."),
        ("before=5", "before must be a time and an id"),
        ("before=2026-03-01T10:00:00_5", "before must be a time and an id"),
        ("before=2026-03-01T10:00:00%2B00:00_" + "9" * 30, "before must be a time and an id"),
        ("before=2026-33-01T10:00:00%2B00:00_5", "before must be a time and an id"),
    ],
)
def test_a_wrong_stretch_is_said_at_its_field(administrator_client, query, words):
    stored(NOW)
    answer = administrator_client.get(f"{SNAPSHOTS}?{query}")
    assert words in answer.text
    assert listed(answer) == []


@pytest.mark.parametrize(
    "query", ["metric_type=cpu", "metric_data__contains=1", "id__gt=1", "resolution=60"]
)
def test_nothing_else_is_looked_up(administrator_client, query):
    """It would read the whole table."""
    assert administrator_client.get(f"{SNAPSHOTS}?{query}").status_code == 400


@pytest.mark.parametrize("query", ["o=-5", "o=1", "all=", "p=3", "q=cpu", "_facets=True"])
def test_order_pages_and_search_cannot_be_asked_for(administrator_client, five_a_page, query):
    rows = [stored(NOW + n * SECOND).pk for n in range(7)]
    assert listed(administrator_client.get(f"{SNAPSHOTS}?{query}")) == rows[:1:-1]


def test_a_row_shows_a_few_numbers(administrator_client):
    stored(NOW, cpu__usage_percent=12.5, memory__percent=53.25, cpu__load_avg_1m=1.75)
    stored(NOW - HOUR, downsampled={"samples": 720, "bucket_seconds": 3600})
    text = administrator_client.get(SNAPSHOTS).text
    cells = re.findall(r'<td class="field-(\w+)">(.*?)</td>', text)
    assert cells[:4] == [("cpu", "12.5"), ("memory", "53.25"), ("load", "1.75"), ("samples", "1")]
    assert cells[5:9] == [("cpu", "—"), ("memory", "—"), ("load", "—"), ("samples", "720")]
    assert "2026-03-01 12:00:00 UTC" in text


def test_rows_of_other_types_are_not_shown(administrator_client):
    """They belong to others; so do their documents."""
    mine = stored(NOW, metric_type="mine", secret="thing")
    assert listed(administrator_client.get(SNAPSHOTS)) == []
    assert administrator_client.get(f"{SNAPSHOTS}{mine.pk}/change/").status_code == 302


def test_the_list_reads_no_document_and_counts_nothing(administrator_client):
    for n in range(60):
        stored(NOW + n * SECOND)
    # session, user, the rows, a few numbers of them
    with CaptureQueriesContext(connection) as queries:
        assert len(listed(administrator_client.get(SNAPSHOTS))) == 50
    asked = [query["sql"] for query in queries]
    assert len(asked) == 4
    assert not any("COUNT(" in sql.upper() for sql in asked)
    assert '"metric_data"' not in asked[2]


def test_a_document_is_read_in_parts_that_fold(administrator_client):
    row = stored(NOW, cpu__per_core=[1.5, None], host__hostname="<script>alert(1)</script>")
    text = administrator_client.get(f"{SNAPSHOTS}{row.pk}/change/").text
    assert "<details open><summary>cpu</summary><pre>{\n" in text
    assert "&quot;per_core&quot;: [1.5, null]" in text
    assert "&lt;script&gt;alert(1)" in text and "<script>alert(1)" not in text
    assert "2026-03-01 12:00:00 UTC" in text


@pytest.mark.parametrize(
    "data", [Value(None, JSONField()), [], 7, "text", {}, {"a": {"b": [[1, 2], {"c": []}]}}]
)
def test_any_json_is_shown(administrator_client, data):
    row = MetricsSnapshot.objects.create(timestamp=NOW, metric_type="aggregated", metric_data=data)
    assert administrator_client.get(SNAPSHOTS).status_code == 200
    assert administrator_client.get(f"{SNAPSHOTS}{row.pk}/change/").status_code == 200


def test_json_is_indented():
    value = {"a": 1, "b": {"c": [1, 2.5, None]}, "d": [[1], {"e": "ü"}], "f": {}, "g": []}
    assert as_text(value).splitlines() == [
        "{",
        '  "a": 1,',
        '  "b": {',
        '    "c": [1, 2.5, null]',
        "  },",
        '  "d": [',
        "    [1],",
        "    {",
        '      "e": "ü"',
        "    }",
        "  ],",
        '  "f": {},',
        '  "g": []',
        "}",
    ]


def test_names_in_a_document_are_escaped():
    assert "<summary>&lt;b&gt;</summary>" in as_html({"<b>": {}})


# --- roll-ups -------------------------------------------------------------------------------


def test_roll_ups_are_listed_by_resolution_and_collector(administrator_client):
    minute, memory = chunk(), chunk(collector="memory")
    ten = chunk(resolution=600)
    for query, row in (
        ("", minute),
        ("?collector=memory", memory),
        ("?resolution=600", ten),
        ("?resolution=600&collector=cpu", ten),
        ("?resolution=61&collector=no", minute),
    ):
        assert listed(administrator_client.get(ROLLUPS + query)) == [row.pk], query


def test_a_filter_keeps_the_others_and_leaves_the_place(administrator_client, five_a_page):
    for n in range(7):
        chunk(NOW + n * HOUR, collector="memory")
    first = administrator_client.get(f"{ROLLUPS}?collector=memory&since=2026-01-01T00:00")
    second = administrator_client.get(ROLLUPS + link(first, "Older"))
    assert len(listed(second)) == 2
    assert link(second, "10 minutes") == "?collector=memory&resolution=600&since=2026-01-01T00%3A00"
    assert '<input type="hidden" name="collector" value="memory">' in second.text
    assert second.text.count('name="before"') == 0


def test_all_roll_ups_of_a_choice_are_reached(administrator_client, five_a_page):
    rows = [chunk(NOW + n * HOUR).pk for n in range(12)]
    assert [*chain(*pages(administrator_client, ROLLUPS))] == rows[::-1]


def test_a_roll_up_is_read(administrator_client):
    row = chunk(s={"cpu.usage_percent": {"avg": [12.5, None]}})
    text = administrator_client.get(f"{ROLLUPS}{row.pk}/change/").text
    assert "2026-03-01 13:00:00 UTC" in text
    assert "&quot;avg&quot;: [12.5, null]" in text


def test_the_list_of_roll_ups_takes_few_queries(administrator_client, django_assert_num_queries):
    for n in range(60):
        chunk(NOW + n * HOUR)
    # session, user, the rows
    with django_assert_num_queries(3):
        assert len(listed(administrator_client.get(ROLLUPS))) == 50


@pytest.mark.parametrize("path", [SNAPSHOTS, ROLLUPS])
@pytest.mark.parametrize(
    "query", ["", "?since=2026-02-20&until=2026-03-20", "?before=2026-03-01T12:00:00%2B00:00_5"]
)
def test_sqlite_reads_along_an_index_and_sorts_nothing(administrator_client, path, query):
    if connection.vendor != "sqlite":
        pytest.skip("the plans of PostgreSQL are read at half a million rows")
    for n in range(3):
        stored(NOW - n * HOUR)
        chunk(NOW - n * HOUR)
    with CaptureQueriesContext(connection) as queries:
        assert administrator_client.get(path + query).status_code == 200
    asked = [q["sql"] for q in queries if "metrics_snapshot" in q["sql"] or "rollup" in q["sql"]]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            steps = [step for *_, step in cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()]
        for step in steps:
            assert "TEMP B-TREE" not in step, steps
            assert "SEARCH metrics_" in step or "SCAN" not in step, steps


# --- nobody changes anything ----------------------------------------------------------------


@pytest.mark.parametrize("path", [SNAPSHOTS, ROLLUPS])
def test_what_was_stored_is_neither_added_nor_changed_nor_deleted(administrator_client, path):
    rows = {SNAPSHOTS: stored(NOW).pk, ROLLUPS: chunk().pk}
    page = f"{path}{rows[path]}"
    text = administrator_client.get(f"{page}/change/").text
    assert 'type="submit" value' not in text and "/delete/" not in text
    assert "Add " not in administrator_client.get(path).text
    assert administrator_client.get(f"{path}add/").status_code == 403
    for address, fields in (
        (f"{path}add/", {"metric_type": "cpu", "collector": "memory"}),
        (f"{page}/change/", {"metric_type": "cpu", "collector": "memory"}),
        (f"{page}/delete/", {"post": "yes"}),
    ):
        assert administrator_client.post(address, fields).status_code == 403
    fields = {"action": "delete_selected", "_selected_action": [rows[path]], "post": "yes"}
    administrator_client.post(path, fields)
    assert MetricsSnapshot.objects.get().metric_type == "aggregated"
    assert Rollup.objects.get().collector == "cpu"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("path", [SNAPSHOTS, ROLLUPS])
def test_viewers_see_nothing_of_it(viewer_client, viewer, path):
    rows = {SNAPSHOTS: stored(NOW).pk, ROLLUPS: chunk().pk}
    for staff in (False, True):
        get_user_model().objects.update(is_staff=staff)
        for address in (path, f"{path}{rows[path]}/change/", f"{path}{rows[path]}/history/"):
            assert viewer_client.get(address, follow=True).status_code == 403


@pytest.mark.parametrize("id", ["0", "9" * 30, "x", "-1"])
def test_a_row_that_is_not_there_leads_to_the_first_page(administrator_client, id):
    answer = administrator_client.get(f"{SNAPSHOTS}{id}/change/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
