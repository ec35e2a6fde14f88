import html
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metrics import views
from metrics.models import Config, MetricsSnapshot
from metrics.tests.builders import document, stored, stored_every

pytestmark = pytest.mark.django_db


def now():
    return datetime.now(UTC)


def points_of(response):
    text = re.search(
        r'<script id="points" type="application/json">(.*?)</script>', response.text, re.S
    )
    return json.loads(text[1])


def cursor_of(response):
    return int(re.search(r'name="after" value="(\d+)"', response.text)[1])


def poll(client, after, **asked):
    return client.get(
        reverse("live-update"), {"after": after} | asked, headers={"hx-request": "true"}
    )


def asked_by(response):
    """What the page sends along with each poll."""
    inputs = response.text.partition('<div id="asked">')[2].partition("</div>")[0]
    asked = {}
    for name, value in re.findall(r'name="(.*?)" value="(.*?)"', inputs):
        asked.setdefault(name, []).append(html.unescape(value))
    return asked


def stored_every_second(count, since):
    """A row at `since`, which is returned, and `count` after it: CPU usage and load count them."""
    first = stored(since)
    MetricsSnapshot.objects.bulk_create(
        MetricsSnapshot(
            timestamp=since + timedelta(seconds=number),
            metric_type="aggregated",
            metric_data=document(
                interval=1, cpu__usage_percent=float(number), cpu__load_avg_1m=float(number)
            ),
        )
        for number in range(1, count + 1)
    )
    return first


def test_the_page_arrives_filled_with_the_last_fifteen_minutes(viewer_client):
    stored_every(60, 30, cpu__usage_percent=12.5)
    response = viewer_client.get("/")
    points = points_of(response)
    assert len(points["times"]) == 15
    assert set(points["series"]["cpu.usage_percent"]) == {12.5}
    assert "12.5" in response.text


def test_the_page_works_without_any_sample(viewer_client):
    response = viewer_client.get("/")
    assert response.status_code == 200
    assert "No sample yet" in response.text
    assert points_of(response)["times"] == []


def test_a_stale_page_says_for_how_long_there_was_no_sample(viewer_client):
    stored(now() - timedelta(hours=2, minutes=3))
    response = viewer_client.get("/")
    assert "Stale" in response.text
    assert "2 h 3 min" in response.text


def test_a_poll_brings_only_what_is_newer_than_the_cursor(viewer_client):
    rows = stored_every(5, 4, cpu__usage_percent=1.0)
    points = points_of(poll(viewer_client, rows[-2].id))
    assert points["times"] == [round(rows[-1].timestamp.timestamp() * 1000)]


def test_a_poll_without_news_brings_no_point_and_keeps_the_cursor(viewer_client):
    rows = stored_every(5, 2, cpu__usage_percent=44.0)
    response = poll(viewer_client, rows[-1].id)
    assert points_of(response)["times"] == []
    assert cursor_of(response) == rows[-1].id
    assert "44" in response.text


def test_the_first_sample_reaches_a_page_that_was_opened_before_it(viewer_client):
    row = stored(now())
    response = poll(viewer_client, 0)
    assert len(points_of(response)["times"]) == 1
    assert cursor_of(response) == row.id


def test_a_poll_brings_at_most_five_hundred_rows_and_the_next_one_the_rest(viewer_client):
    first = stored_every_second(600, since=now() - timedelta(seconds=700))
    response = poll(viewer_client, first.id)
    assert len(points_of(response)["times"]) == 500
    response = poll(viewer_client, cursor_of(response))
    assert len(points_of(response)["times"]) == 100


def test_a_poll_that_is_behind_shows_the_newest_numbers_and_is_not_stale(viewer_client):
    first = stored_every_second(800, since=now() - timedelta(seconds=800))
    response = poll(viewer_client, first.id)
    assert "Live, newest sample" in response.text
    assert "800" in response.text
    assert cursor_of(response) == first.id + 500


def test_after_the_clock_was_set_back_samples_of_the_future_are_not_drawn(viewer_client):
    future = stored(now() + timedelta(hours=1))
    new = stored(now())
    for response in (viewer_client.get("/"), poll(viewer_client, future.id - 1 or 0)):
        assert points_of(response)["times"][-1] == round(new.timestamp.timestamp() * 1000)
        assert cursor_of(response) == new.id


def test_a_clock_that_was_set_back_does_not_hide_a_dead_sampler(viewer_client):
    stored(now() - timedelta(seconds=3))
    stored(now() + timedelta(hours=1))
    assert "Stale" in viewer_client.get("/").text


def test_rows_outside_the_window_do_not_come_with_a_poll(viewer_client):
    old = stored(now() - timedelta(hours=3))
    stored(now() - timedelta(hours=2))
    new = stored(now())
    response = poll(viewer_client, old.id)
    assert points_of(response)["times"][-1] == round(new.timestamp.timestamp() * 1000)
    assert len(points_of(response)["times"]) == 2  # the gap and the new one


def test_imported_downsampled_and_foreign_rows_are_not_live(viewer_client):
    row = stored(now() - timedelta(seconds=20))
    stored(now(), sampler__source="sysstat")
    stored(now(), downsampled__samples=12)
    stored(now(), metric_type="cpu")
    response = poll(viewer_client, row.id)
    assert points_of(response)["times"] == []
    assert cursor_of(response) == row.id


def test_a_sample_of_a_clock_that_was_set_back_still_counts_as_newest(viewer_client):
    stored(now() + timedelta(hours=1), cpu__usage_percent=1.0)
    row = stored(now(), cpu__usage_percent=77.0)
    response = viewer_client.get("/")
    assert cursor_of(response) == row.id
    assert "77" in response.text


def test_a_page_whose_cursor_is_gone_loads_itself_again(viewer_client):
    row = stored(now())
    response = poll(viewer_client, row.id + 1000)
    assert response.headers["HX-Refresh"] == "true"


@pytest.mark.parametrize("after", ["", "x", "-1", "9223372036854775808", "1.5", "1; drop"])
def test_a_wrong_cursor_is_a_400_with_a_sentence(viewer_client, after):
    response = poll(viewer_client, after)
    assert response.status_code == 400
    assert "The parameter after is wrong" in response.text


def test_a_poll_takes_three_queries_however_many_rows_there_are(viewer_client):
    rows = stored_every(5, 3)
    for count in (1, 100):
        stored_every(1, count)
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            poll(viewer_client, rows[-1].id)
        assert len(queries) == 3


def test_viewers_who_ask_the_same_in_one_second_share_an_answer(viewer_client, monkeypatch):
    rows = stored_every(5, 3)
    moment = now()
    monkeypatch.setattr(views.timezone, "now", lambda: moment)
    first = poll(viewer_client, rows[-2].id)
    with CaptureQueriesContext(connection) as queries:
        assert poll(viewer_client, rows[-2].id).text == first.text
    assert len(queries) == 3
    assert poll(viewer_client, rows[-2].id, range="5m").text != first.text
    stored(now())
    assert poll(viewer_client, rows[-2].id).text != first.text
    monkeypatch.setattr(views.timezone, "now", lambda: moment + timedelta(minutes=5))
    assert "Stale" in poll(viewer_client, rows[-2].id).text


def test_the_page_takes_five_queries_however_many_rows_there_are(
    viewer_client, django_assert_num_queries
):
    for count in (1, 60):
        stored_every(5, count)
        with django_assert_num_queries(5):
            viewer_client.get("/")


def test_a_poll_with_one_new_point_is_small_and_does_not_grow_with_the_window(viewer_client):
    sizes = []
    for count in (2, 170):
        rows = stored_every(5, count, cpu__usage_percent=12.34)
        sizes.append(len(poll(viewer_client, rows[-2].id).content))
    assert max(sizes) < 15_000
    assert abs(sizes[1] - sizes[0]) < 100


def test_polling_neither_prolongs_nor_writes_the_session(viewer_client):
    row = stored(now())
    session = viewer_client.session
    before = (session.session_key, session.get_expiry_date(), dict(session))
    with CaptureQueriesContext(connection) as queries:
        response = poll(viewer_client, row.id)
    assert "Set-Cookie" not in response.headers
    assert all(query["sql"].startswith("SELECT") for query in queries)
    assert (session.session_key, dict(viewer_client.session)) == (before[0], before[2])


def test_the_page_polls_at_the_interval_that_is_set(viewer_client):
    stored(now())
    for interval, poll_ms in ((1, 1000), (5, 5000), (3600, 10_000)):
        Config(key="sampling", value={"interval_seconds": interval}).save()
        assert points_of(viewer_client.get("/"))["poll"] == poll_ms


def test_a_name_of_a_device_cannot_break_out_of_the_page(viewer_client):
    evil = '</script><img src=x onerror="alert(1)">'
    row = stored(now())
    row.metric_data["disk"]["partitions"][evil] = {"percent": 99.0, "free_bytes": 1}
    row.save()
    text = viewer_client.get("/").text
    assert evil not in text
    assert "&lt;/script&gt;" in text


def stored_devices(section, names, leaf, timestamp=None, **values):
    """A row in which the devices have these values: `leaf` is 1 for the first, 2 for the next …"""
    row = stored(timestamp or now(), **values)
    parent, _, kind = section.partition(".")
    row.metric_data[parent][kind] = {name: {leaf: n} for n, name in enumerate(names, 1)}
    row.save()
    return row


def test_the_range_of_the_address_is_the_window(viewer_client):
    stored_every(60, 50)
    for name, count in (("5m", 5), ("15m", 15), ("1h", 50)):
        response = viewer_client.get("/", {"range": name})
        assert len(points_of(response)["times"]) == count
        assert asked_by(response)["range"] == [name]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"range": "2h"}, "The parameter range is wrong: It is one of: 5m, 15m, 1h."),
        ({"refresh": "1s"}, "The parameter refresh is wrong: It is one of: off, 5s"),
        ({"disk": "x" * 4_201}, "The parameter disk is wrong: A name has 1 to 4200"),
        ({"interface": "a\x00b"}, "The parameter interface is wrong: A name has 1 to 4200"),
        ({"disk": [f"sd{n}" for n in range(65)]}, "The parameter disk is wrong: At most 64"),
    ],
)
def test_a_wrong_parameter_is_a_400_that_names_it(viewer_client, asked, sentence):
    response = viewer_client.get("/", asked)
    assert response.status_code == 400
    assert sentence in html.unescape(response.text)


def test_the_most_active_devices_are_drawn_and_the_others_on_demand(viewer_client):
    names = [f"sd{n}" for n in range(40)]
    stored_devices("disk.devices", names, "util_percent")
    response = viewer_client.get("/")
    assert asked_by(response)["disk"] == ["sd39", "sd38", "sd37", "sd36"]
    assert "Disks: 4 of 40 shown" in response.text
    series = points_of(viewer_client.get("/", {"disk": ["sd0", "sd1"]}))["series"]
    assert series["disk.devices.sd0.util_percent"] == [1]
    assert "disk.devices.sd39.util_percent" not in series


def test_a_poll_brings_the_devices_that_the_page_draws(viewer_client):
    names = [f"sd{n}" for n in range(6)]
    first = stored_devices("disk.devices", names, "util_percent", now() - timedelta(seconds=5))
    asked = asked_by(viewer_client.get("/", {"disk": ["sd0"]}))
    stored_devices("disk.devices", names, "util_percent")
    series = points_of(poll(viewer_client, first.id, **asked))["series"]
    assert [name for name in series if name.endswith("util_percent") and "*" not in name] == [
        "disk.devices.sd0.util_percent"
    ]


def test_a_device_that_comes_loads_the_page_again_where_there_is_room(viewer_client):
    first = stored_devices("disk.devices", ["sda"], "util_percent", now() - timedelta(seconds=5))
    seen = asked_by(viewer_client.get("/"))
    chosen = asked_by(viewer_client.get("/", {"disk": ["sda"]}))
    stored_devices("disk.devices", ["sda", "sdb"], "util_percent")
    assert poll(viewer_client, first.id, **seen).headers.get("HX-Refresh") == "true"
    assert "HX-Refresh" not in poll(viewer_client, first.id, **chosen).headers


def test_a_chart_without_data_is_left_out_with_the_reason_until_there_is_some(viewer_client):
    first = stored(now() - timedelta(seconds=5))
    response = viewer_client.get("/")
    assert "<b>Temperature</b>. This host has none (/sys/class/hwmon" in response.text
    assert "temperature" in asked_by(response)["absent"]
    stored(now(), cpu__temperature_celsius=40.0)
    assert poll(viewer_client, first.id, **asked_by(response)).headers.get("HX-Refresh") == "true"


def test_the_reason_why_nothing_is_counted_stands_on_the_page(viewer_client):
    stored(now(), perf_events__reason="The kernel forbids it: set perf_event_paranoid to 0.")
    text = viewer_client.get("/").text
    assert "<b>Fault events</b>. The kernel forbids it: set perf_event_paranoid to 0.</p>" in text
    assert text.count("The kernel forbids it: set perf_event_paranoid to 0.</p>") == 2  # and a tile


def test_where_counters_count_each_has_its_chart_and_each_cpu_its_row(viewer_client):
    each = {"0": {"cycles": 9, "instructions": 18, "ipc": 2.0}, "1": {"ipc": None}}
    stored(now(), perf_events__ipc=1.5, perf_events__running_percent=40, perf_events__per_cpu=each)
    response = viewer_client.get("/")
    assert '<core-strip series="perf_events.per_cpu.*.ipc" maximum="3.0" unit="">' in response.text
    series = points_of(response)["series"]
    assert series["perf_events.ipc"] == [1.5]
    assert series["perf_events.per_cpu.0.ipc"] == [2]
    assert series["perf_events.per_cpu.1.ipc"] == [None]
    assert series["perf_events.running_percent"] == [40]
    assert "counted\N{NO-BREAK SPACE}40\N{NO-BREAK SPACE}%" in response.text


def test_cpus_are_drawn_as_many_as_the_newest_sample_has(viewer_client):
    stored(now(), cpu__per_core=[1.0, None, 3.0])
    series = points_of(viewer_client.get("/"))["series"]
    assert [series[f"cpu.per_core.{n}"] for n in range(3)] == [[1], [None], [3]]


def test_counts_of_a_sample_are_drawn_per_second(viewer_client):
    stored(now(), interval=5, perf_events__context_switches=500)
    response = viewer_client.get("/")
    assert points_of(response)["series"]["perf_events.context_switches"] == [100]


def test_a_reboot_and_a_change_of_the_interval_are_marked(viewer_client):
    start = now() - timedelta(seconds=30)
    first = stored(start, interval=5, host__boot_id="a")
    stored(start + timedelta(seconds=5), interval=1, host__boot_id="a")
    stored(start + timedelta(seconds=6), interval=1, host__boot_id="b")
    texts = [what for _, what in points_of(viewer_client.get("/"))["marks"]]
    assert texts == ["every 5 s → 1 s", "reboot"]
    assert len(points_of(poll(viewer_client, first.id))["marks"]) == 2


def test_many_points_arrive_as_means_with_what_they_hide(viewer_client):
    stored_every_second(1500, since=now() - timedelta(seconds=1500))
    points = points_of(viewer_client.get("/", {"range": "1h"}))
    assert 180 < len(points["times"]) <= 360
    name = "cpu.load_avg_1m"
    assert points["low"][name][1] < points["series"][name][1] < points["high"][name][1]
    assert max(value for value in points["high"][name] if value is not None) == 1500
    assert [what for _, what in points["marks"]] == ["every 5 s → 1 s"]


def test_the_title_and_the_summary_say_how_the_host_is(viewer_client):
    first = stored(now() - timedelta(seconds=5), host__name="web-01", cpu__usage_percent=10.0)
    response = viewer_client.get("/")
    assert "<title>web-01 · PerfWatch</title>" in response.text
    assert "Everything is within its limits." in response.text
    stored(now(), host__name="web-01", cpu__usage_percent=97.0)
    text = poll(viewer_client, first.id).text
    assert "<title>✖ critical · web-01 · PerfWatch</title>" in text
    assert "Critical: CPU 97\xa0%" in text


def test_the_kernel_and_the_uptime_stand_in_the_header(viewer_client):
    stored(now(), host__name="web-01", host__uptime_seconds=90_061.0, cpu__core_count=8)
    Config(key="system_info", value={"kernel": "6.1.0"}).save()
    text = viewer_client.get("/").text
    for part in ("web-01", "up 1 d 1 h", "8 CPUs", "6.1.0"):
        assert part in text


def test_the_first_sample_of_all_says_that_rates_need_a_second_one(viewer_client):
    stored(now(), sampler__status={"cpu": "ok"})
    assert "Rates come with the second sample" in viewer_client.get("/").text


def test_a_collector_that_has_nothing_says_why(viewer_client):
    stored(now(), sampler__status={"pressure": "no data: This kernel cannot measure pressure."})
    response = viewer_client.get("/")
    assert points_of(response)["missing"] == {
        "pressure": "no data: This kernel cannot measure pressure."
    }
    assert 'title="No data: This kernel cannot measure pressure."' in response.text


def test_the_verdict_stands_at_the_top_with_its_numbers(viewer_client):
    assert "verdict" not in viewer_client.get("/").text
    stored(now(), cpu__usage_percent=3.5)
    text = viewer_client.get("/").text
    assert "<b>Idle.</b> The CPUs have little to do." in text
    assert "CPU <b>3.50 %</b>" in text
    assert 'href="/help/counters/#idle"' in text
