import html
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from metrics.charts import CHARTS
from metrics.models import ArchivePolicy
from metrics.tests.builders import stored, stored_every

pytestmark = pytest.mark.django_db

HISTORY = "/history/"


def now():
    return datetime.now(UTC)


def rule(**values):
    """The only policy: 30 days unless `values` say otherwise."""
    ArchivePolicy.objects.all().delete()
    ArchivePolicy(**{"retention_days": 30} | values).save()


def titles(response):
    return re.findall(r"<h3>(.*?)</h3>", response.text)


def preset(response, name):
    """The preset as it stands in the bar: a link, or a word with the reason."""
    return re.search(rf"<(?:a|span)[^>]*>{name}<.*?(?:a|span)>", response.text, re.S)[0]


def look(timestamp, name="postgres", cpu=50.0, **values):
    rank = {"pid": 7, "name": name, "user": "root", "cpu_percent": cpu, "rss_bytes": 2048}
    return stored(timestamp, processes={"top_cpu": {"1": rank}, "top_memory": {}}, **values)


def moment(client, at, step=60):
    return client.get(reverse("history-moment"), {"at": round(at.timestamp() * 1000), "step": step})


def test_the_page_shows_the_last_day_unless_the_address_says_otherwise(viewer_client):
    stored(now())
    response = viewer_client.get(HISTORY)
    start, end = (
        int(re.search(rf'data-{name}="(\d+)"', response.text)[1]) for name in ("from", "to")
    )
    assert end - start == 86_400_000
    response = viewer_client.get(HISTORY, {"from": "1000", "to": "1970-01-01T00:01:00"})
    assert 'data-from="1000" data-to="60000"' in response.text


def test_it_shows_every_chart_of_the_catalogue_that_the_host_has_something_for(viewer_client):
    stored(now())
    needed = [chart.title for chart in CHARTS if chart.needs]
    assert titles(viewer_client.get(HISTORY)) == [c.title for c in CHARTS if not c.needs]
    text = viewer_client.get(HISTORY).text
    assert all(f'title="Show it all the same">{title}</a>' in text for title in needed)


def test_charts_can_be_chosen_also_such_as_the_host_has_nothing_for_now(viewer_client):
    stored(now())
    response = viewer_client.get(HISTORY, {"chart": ["temperature", "memory"]})
    assert titles(response) == ["Temperature", "Memory"]


def test_the_page_works_without_any_sample(viewer_client):
    response = viewer_client.get(HISTORY)
    assert response.status_code == 200
    assert "There are no samples yet" in response.text


def test_a_range_beyond_what_is_kept_is_off_and_says_why(viewer_client):
    rule()
    stored(now())
    response = viewer_client.get(HISTORY)
    assert "<a " in preset(response, "30d")
    assert "Only the last 30 d are kept." in preset(response, "90d")
    assert "Only the last 30 d are kept." in preset(response, "1y")


def test_what_is_there_can_be_shown_whatever_the_policy_says(viewer_client):
    rule()
    stored(now() - timedelta(days=91))
    response = viewer_client.get(HISTORY)
    assert "<a " in preset(response, "90d")
    assert "Only the last 91 d are kept." in preset(response, "1y")


def test_without_cleanup_everything_is_kept(viewer_client):
    rule(archive_enabled=False)
    stored(now())
    assert "<a " in preset(viewer_client.get(HISTORY), "1y")


def test_devices_of_the_range_can_be_chosen_and_of_many_the_busiest_are_drawn(viewer_client):
    for second in (20, 10):
        row = stored(now() - timedelta(seconds=second))
        row.metric_data["disk"]["devices"] = {
            f"sd{n}": {"util_percent": float(n)} for n in range(12)
        }
        row.save()
    response = viewer_client.get(HISTORY, {"from": "now-5m"})
    assert "Disks: 4 of 12 shown" in response.text
    assert 'data-series="disk.devices.sd11.util_percent"' in response.text
    assert 'data-series="disk.devices.sd1.util_percent"' not in response.text
    response = viewer_client.get(HISTORY, {"from": "now-5m", "disk": ["sd1"]})
    assert 'data-series="disk.devices.sd1.util_percent"' in response.text
    assert 'data-series="disk.devices.sd11.util_percent"' not in response.text


def test_cores_can_be_chosen(viewer_client):
    stored(now() - timedelta(seconds=10), cpu__per_core=[1.0, 2.0, 3.0])
    response = viewer_client.get(HISTORY, {"from": "now-5m", "core": ["2"]})
    assert 'data-names="cpu.per_core.2 "' in response.text


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"from": "yesterday"}, "The parameter from is wrong: 'yesterday' is not understood"),
        ({"from": "now", "to": "now-1h"}, "The parameter from is wrong: It must be before"),
        ({"from": "1800-01-01"}, "The parameter from is wrong: '1800-01-01' is not between"),
        ({"chart": "nonsense"}, "The parameter chart is wrong: It is one of: cpu, cores"),
        ({"core": "first"}, "The parameter core is wrong: 'first' is not the name of one."),
        ({"disk": "*", "tables": "on"}, "The parameter disk is wrong: '*' is not the name of one."),
        ({"refresh": "2s"}, "The parameter refresh is wrong: It is one of"),
        ({"colour": "red"}, "There is no parameter 'colour'."),
    ],
)
def test_a_wrong_address_is_a_400_that_names_the_parameter(viewer_client, asked, sentence):
    response = viewer_client.get(HISTORY, asked)
    assert response.status_code == 400
    assert sentence in html.unescape(response.text)


def test_the_numbers_are_there_as_tables_without_scripts(viewer_client):
    stored_every(5, 10, cpu__user_percent=12.0)
    asked = {"from": "now-5m", "tables": "on", "chart": "cpu"}
    text = re.sub(r"\s+", " ", viewer_client.get(HISTORY, asked).text)
    assert '<th scope="row">user</th><td>12 %</td><td>12 %</td>' in text


def test_queries_do_not_grow_with_the_rows(viewer_client):
    counts = []
    for rows in (2, 50):
        stored_every(5, rows)
        with CaptureQueriesContext(connection) as queries:
            viewer_client.get(HISTORY, {"from": "now-1h"})
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 30


def test_a_click_shows_who_was_busy_at_that_moment(viewer_client):
    at = now() - timedelta(hours=1)
    look(at + timedelta(seconds=10), name="postgres", cpu=50.0)
    look(at + timedelta(seconds=40), name="gcc", cpu=90.0)
    look(at + timedelta(seconds=70), name="later", cpu=99.0)
    text = moment(viewer_client, at).text
    assert "gcc" in text
    assert "90 %" in text
    assert "2 KiB" in text
    assert "postgres" not in text


def test_between_two_looks_the_nearest_is_shown(viewer_client):
    at = now() - timedelta(hours=1)
    look(at - timedelta(seconds=9), name="near")
    look(at + timedelta(seconds=25), name="far")
    assert "near" in moment(viewer_client, at, step=5).text


def test_without_a_look_the_page_says_why(viewer_client):
    stored(now())
    assert "No look at the processes is stored near" in moment(viewer_client, now()).text


def test_a_name_of_a_process_cannot_break_out_of_the_page(viewer_client):
    look(now() - timedelta(seconds=30), name="<script>alert(1)</script>")
    assert "<script>alert" not in moment(viewer_client, now() - timedelta(seconds=60)).text


@pytest.mark.parametrize(
    ("uptime", "rebooted"), [(30.0, True), (86_400.0, False), (3_600.0, False)]
)
def test_a_click_says_whether_the_host_rebooted(viewer_client, uptime, rebooted):
    at = now() - timedelta(hours=1)
    stored(at + timedelta(seconds=50), host__uptime_seconds=uptime)
    assert ("The host started at" in moment(viewer_client, at).text) is rebooted


def test_a_reboot_between_two_points_belongs_to_the_second(viewer_client):
    at = now() - timedelta(hours=1)
    stored(at - timedelta(minutes=5), host__uptime_seconds=9_000.0)
    stored(at + timedelta(seconds=5), host__uptime_seconds=100.0)
    assert "The host started at" in moment(viewer_client, at).text


def test_a_reboot_that_left_the_point_empty_is_seen_by_the_next_sample(viewer_client):
    at = now() - timedelta(hours=1)
    stored(at + timedelta(seconds=130), host__uptime_seconds=100.0)
    assert "The host started at" in moment(viewer_client, at).text


@pytest.mark.parametrize(
    "asked", [{"at": "soon", "step": 1}, {"at": "now", "step": 0}, {"at": "now"}]
)
def test_a_wrong_moment_is_a_400(viewer_client, asked):
    assert viewer_client.get(reverse("history-moment"), asked).status_code == 400


def verdict_of(client, **query):
    response = client.get(HISTORY + "verdict/", query)
    return response.status_code, " ".join(re.sub(r"<[^>]*>", " ", response.text).split())


def test_the_verdict_is_of_the_means_of_the_stretch(viewer_client):
    reason = "No PMU here."
    for seconds, usage, running in ((30, 90, 2), (20, 100, 9), (10, 98, 7)):
        stored(
            now() - timedelta(seconds=seconds),
            cpu__usage_percent=usage,
            cpu__procs_running=running,
            cpu__core_count=2,
            perf_events__reason=reason,
        )
    status, text = verdict_of(viewer_client, **{"from": "now-1m", "to": "now"})
    assert status == 200
    assert "Short of CPUs." in text
    assert "CPU 96 % , tasks that could run 6 , CPUs 2 ." in text
    assert "Without instructions per cycle: No PMU here." in text
    page = viewer_client.get(HISTORY, {"from": "now-1m", "tables": "on"}).text
    assert "Short of CPUs." in page
    assert 'href="/help/counters/#short-of-cpus"' in page


def test_a_stretch_without_samples_has_no_verdict(viewer_client):
    assert "No verdict yet." in verdict_of(viewer_client)[1]
    assert verdict_of(viewer_client, **{"from": "soon"})[0] == 400


def test_what_the_words_mean_is_a_page_with_a_place_for_each_verdict(viewer_client, client):
    assert client.get("/help/counters/").status_code == 302
    text = viewer_client.get("/help/counters/").text
    assert '<h3 id="waiting-for-memory">Waiting for memory</h3>' in text
    assert "<table>" in text
