"""The history page in a real browser: any stretch, its peaks, who was busy, and what changed."""

import re
import signal
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from metrics.tests.made_samples import Wandering, every, insert
from perfwatch_site.tests.product import Product, eventually

pytestmark = pytest.mark.browser

LOOKS = [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")]


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """PerfWatch with an hour of samples, a spike and a reboot in it, whose sampler waits."""
    product = Product(tmp_path_factory.mktemp("product"))
    product.start()
    eventually(lambda: product.query("SELECT count(*) FROM metrics_snapshot")[0][0], bool)
    product.signal_sampler(signal.SIGSTOP)
    product.query("DELETE FROM metrics_snapshot")
    product.end = datetime.now(UTC)
    samples = every(15, 240, Wandering(product.sample()), product.end)
    for number, (_, document) in enumerate(samples):
        document["host"] |= {
            "uptime_seconds": 15.0 * (number % 120) + 5,
            "boot_id": str(number // 120),
        }
        document["cpu"]["procs_running"] = 900 if number == 100 else 3
        rank = {"pid": 7, "name": "gcc", "user": "me", "cpu_percent": 50.0, "rss_bytes": 2048}
        document["processes"] = {"top_cpu": {"1": rank}, "top_memory": {}}
    insert(product.database, samples)
    yield product
    product.stop()


@pytest.fixture
def hour(open_page):
    """Opens the page on the hour and waits until its first chart is drawn."""

    def hour(from_="now-1h", **options):
        page = open_page(f"/history/?from={from_}&to=now&chart=tasks&chart=load", **options)
        until(page, "document.querySelector('time-chart')?.chart")
        return page

    return hour


def until(page, expression):
    """Wait until an expression is true; Playwright's own way needs an eval, which is forbidden."""
    eventually(lambda: page.evaluate(f"Boolean({expression})"), bool)


def span(page):
    return page.evaluate("document.querySelector('history-range').span")


def points(page, expression):
    return page.evaluate(f"document.querySelector('time-chart').points.{expression}")


def at(page, share, chart=0):
    """Where a share of the width of a chart's plot is on the screen."""
    box = page.locator("time-chart .plot").nth(chart).bounding_box()
    return box["x"] + 82 + share * (box["width"] - 92), box["y"] + 60


def drag(page, start, end):
    page.mouse.move(*at(page, start))
    page.mouse.down()
    page.mouse.move(*at(page, (start + end) / 2), steps=4)
    page.mouse.move(*at(page, end), steps=4)
    page.mouse.up()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_everybody_can_use_the_page(open_page, width, scheme):
    page = open_page("/history/?from=now-1h&compare=previous", width=width, scheme=scheme)
    page.wait_for_selector("#changes tbody tr")
    page.locator("time-chart").first.scroll_into_view_if_needed()  # the list may be above it
    until(page, "document.querySelector('time-chart').chart")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []


def test_a_chart_asks_for_its_points_when_it_is_seen(open_page):
    page = open_page("/history/?from=now-1h")
    until(page, "document.querySelector('time-chart').chart")
    assert page.evaluate("[...document.querySelectorAll('time-chart')].at(-1).points") is None
    page.locator("time-chart").last.scroll_into_view_if_needed()
    until(page, "[...document.querySelectorAll('time-chart')].at(-1).chart")


def test_a_spike_of_one_sample_shows_in_the_band(hour):
    page = hour(from_="now-6h")
    tasks = "[...document.querySelectorAll('time-chart')][1].points"
    until(page, tasks)
    assert 900 in page.evaluate(f"{tasks}.high['cpu.procs_running']")
    assert 900 not in page.evaluate(f"{tasks}.series['cpu.procs_running']")
    assert "per point" in page.inner_text(".resolution")
    assert "covered" in page.inner_text(".resolution")


def test_a_drag_zooms_all_charts_and_back_undoes_it(hour):
    page = hour()
    before = span(page)
    drag(page, 0.4, 0.6)
    eventually(lambda: span(page), lambda now: now != before)
    zoomed = span(page)
    length = before["to"] - before["from"]
    assert zoomed["to"] - zoomed["from"] == pytest.approx(0.2 * length, rel=0.1)
    assert parse_qs(urlsplit(page.url).query)["from"] == [str(zoomed["from"])]
    drawn = "[...document.querySelectorAll('time-chart')].map((one) => one.chart.scales.x.min)"
    eventually(lambda: page.evaluate(drawn), lambda starts: starts == [zoomed["from"]] * 2)
    page.go_back()
    eventually(lambda: span(page), lambda now: now["to"] - now["from"] == length)
    page.go_forward()
    eventually(lambda: span(page), lambda now: now == zoomed)
    page.keyboard.press("Escape")
    eventually(lambda: span(page), lambda now: now["to"] - now["from"] == length)


def test_keys_shift_and_widen_the_stretch(hour):
    page = hour()
    length = span(page)["to"] - span(page)["from"]
    start = span(page)["from"]
    page.keyboard.press("[")
    assert span(page)["from"] == pytest.approx(start - length / 2, abs=2)
    page.keyboard.press("]")
    assert span(page)["from"] == pytest.approx(start, abs=2)
    page.keyboard.press("-")
    assert span(page)["to"] - span(page)["from"] == pytest.approx(2 * length, abs=4)


def test_the_crosshair_shows_the_values_of_its_moment_on_all_charts(hour):
    page = hour()
    newest = page.inner_text('[data-series="cpu.load_avg_1m"] output')
    page.mouse.move(*at(page, 0.3))
    assert page.locator(".crosshair:visible").count() == 2
    assert page.inner_text('[data-series="cpu.load_avg_1m"] output') != newest
    page.mouse.move(5, 5)
    assert page.locator(".crosshair:visible").count() == 0


def test_the_numbers_of_a_chart_are_a_table(hour):
    page = hour()
    page.locator("details.numbers summary").nth(1).click()
    row = page.locator("details.numbers").nth(1).locator("tbody tr").first
    assert row.locator("th").inner_text() == "running"
    assert row.locator("td").all_inner_texts()[3] == "900"


def test_a_reboot_is_marked_and_a_click_tells_of_it_and_who_was_busy(hour):
    page = hour()
    assert points(page, "marks.map(([time, what]) => what)") == ["reboot"]
    chart = "document.querySelector('time-chart')"
    x = page.evaluate(f"{chart}.chart.scales.x.getPixelForValue({chart}.points.marks[0][0])")
    box = page.locator("time-chart .plot").first.bounding_box()
    page.mouse.move(box["x"] + x + 1, box["y"] + 60)
    page.mouse.click(box["x"] + x + 1, box["y"] + 60)
    page.wait_for_selector("#moment table")
    assert "gcc" in page.inner_text("#moment")
    assert "The host started at" in page.inner_text("#moment")
    page.click("[data-do=close]")
    assert page.inner_text("#moment .found") == ""


def test_people_type_their_own_time(hour):
    page = hour(timezone_id="America/New_York")
    assert "America/New_York" in page.inner_text(".zone")
    page.fill("[name=from]", "2026-01-05 08:00")
    page.fill("[name=to]", "2026-01-05 09:00")
    page.click(".custom button")
    page.wait_for_url(re.compile("from=1767618000000&to=1767621600000"))
    assert page.input_value("[name=from]") == "2026-01-05 08:00"


def test_ticks_stand_at_midnight_also_across_a_change_to_summer_time(hour):
    page = hour(timezone_id="Europe/Berlin")
    page.goto(re.sub(r"from=.*?&to=now", "from=2026-03-27&to=2026-04-01", page.url))
    until(page, "document.querySelector('time-chart')?.chart")
    ticks = "document.querySelector('time-chart').chart.scales.x.ticks.map(({ value }) => value)"
    hours = {
        page.evaluate(f"new Date({value}).getHours() * 60 + new Date({value}).getMinutes()")
        for value in page.evaluate(ticks)
    }
    assert hours == {0}


def test_showing_what_is_shown_changes_nothing(hour):
    page = hour(timezone_id="Europe/Berlin")
    page.goto(re.sub(r"from=.*?&to=now", "from=2026-11-21&to=2026-11-22T10:00:00", page.url))
    before = span(page)
    assert page.input_value("[name=from]") == "2026-11-21 01:00"
    page.click(".custom button")
    page.wait_for_url(re.compile(f"from={before['from']}&to={before['to']}"))


def test_the_page_works_without_any_cpu_to_show(open_page):
    page = open_page("/history/?from=2020-01-01&to=2020-01-02&chart=cores")
    eventually(lambda: page.inner_text("core-strip .legend"), lambda text: "No samples" in text)


def test_a_stretch_is_compared_and_the_address_keeps_it(hour):
    page = hour()
    page.select_option("[name=compare]", "previous")
    page.wait_for_selector("#changes tbody tr")
    assert "compare=previous" in page.url
    assert points(page, "other.offset") == 3_600_000
    eventually(lambda: page.inner_text(".legend >> nth=0"), lambda text: "(was" in text)
    page.fill("#changes input", "running")
    assert page.locator("#changes tbody tr:visible").count() == 1
    page.go_back()
    eventually(lambda: page.locator("#changes tr").count(), lambda rows: rows == 0)
    assert page.input_value("[name=compare]") == ""


def test_without_any_sample_in_the_range_the_charts_say_so(open_page):
    page = open_page("/history/?from=2020-01-01&to=2020-01-02&chart=load")
    page.wait_for_selector(".nothing:visible")
    assert page.inner_text(".nothing >> nth=0") == "No samples in this range"
    assert page.inner_text(".resolution") == "No samples in this range"


def test_an_ended_session_leads_to_the_login(hour, open_page):
    page = hour()
    page.context.clear_cookies()
    page.keyboard.press("r")
    page.wait_for_url(re.compile("/login/"))
    # The browser itself reports what was refused.
    complaints = open_page.opened[0][1].complaints
    complaints[:] = [one for one in complaints if "401 (Unauthorized)" not in one]


def test_an_hour_behind_the_first_sample_is_empty_and_not_zero(hour, product):
    page = hour()
    start = int((product.end - timedelta(hours=2)).timestamp() * 1000)
    page.goto(re.sub(r"from=.*?&to=now", f"from={start}&to=now", page.url))
    until(page, "document.querySelector('time-chart')?.chart")
    values = points(page, "series['cpu.load_avg_1m']")
    assert values[0] is None
    assert any(value is not None for value in values)
