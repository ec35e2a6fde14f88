"""The live page in a real browser: all of it, on made samples and in each of its states."""

import re
import signal
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe

from metrics.charts import CHARTS
from metrics.drawing import is_there
from metrics.tests.made_samples import Wandering, every, insert, many_devices
from perfwatch_site.tests.product import FastForward, Product, eventually, memory

pytestmark = pytest.mark.browser

LOOKS = [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")]
UPDATES = 80
WARM_UP = 220
MOST_GROWTH = 150_000
"""Bytes. Chart.js's own stacking, which keeps a sum for each time it ever saw, made it 280,000."""
DRAWN = """() => [...document.querySelectorAll("time-chart, core-strip")].map((one) =>
  one.localName === "core-strip"
    ? one.canvas.width !== 300
    : Boolean(one.chart?.data.datasets.some(({ data }) => data.length)))"""
UPDATE = """() => new Promise((done) => {
  const now = document.querySelector("#now");
  const settled = () => requestAnimationFrame(() => setTimeout(done, 0));
  now.addEventListener("htmx:afterSettle", settled, { once: true });
  now.dispatchEvent(new CustomEvent("perfwatch:poll"));
})"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """PerfWatch whose sampler waits: tests write the samples."""
    product = Product(tmp_path_factory.mktemp("product"))
    product.start()
    eventually(lambda: product.query("SELECT count(*) FROM metrics_snapshot")[0][0], bool)
    product.signal_sampler(signal.SIGSTOP)
    product.real = product.sample()
    yield product
    product.stop()


@pytest.fixture
def hold(product):
    """Makes these samples the only ones, and newest the last of them."""

    def hold(samples=()):
        product.query("DELETE FROM metrics_snapshot")
        insert(product.database, samples)
        return [document for _, document in samples]

    return hold


@pytest.fixture
def quarter_of_an_hour(product, hold):
    """The documents of 15 minutes, five seconds apart."""
    return hold(every(5, 180, Wandering(product.real)))


@pytest.fixture
def steered(chromium, product, session, open_page):
    """Opens a page whose clock can be put forward; `asked` counts its polls."""

    def steered(path="/"):
        page = open_page("/account/")
        page.clock.install()
        polls = []
        page.on("request", lambda one: polls.append(one.url) if "/live/" in one.url else None)
        # Playwright hears of requests only while something is asked of the browser.
        page.asked = lambda: (page.evaluate("0"), len(polls))[1]
        page.goto(product.url + path)
        page.wait_for_selector("#now .tile")
        return page

    return steered


def feed(page, what):
    return page.evaluate(f"document.querySelector('live-feed').{what}")


def legend(page, series):
    return page.inner_text(f'[data-series="{series}"] output')


def assert_accessible(page):
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious] == []


def assert_fits(page, width):
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_chart_is_drawn_when_it_is_seen(open_page, quarter_of_an_hour, width, scheme):
    page = open_page(width=width, scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(245, 246, 248)" if scheme == "light" else "rgb(14, 19, 24)")
    there = sum(is_there(chart, quarter_of_an_hour) for chart in CHARTS)
    first = eventually(lambda: page.evaluate(DRAWN), lambda drawn: drawn[0])
    assert len(first) == there
    assert not any(first[there // 2 :])
    for number in range(there):
        page.locator("time-chart, core-strip").nth(number).scroll_into_view_if_needed()
        eventually(lambda number=number: page.evaluate(DRAWN)[number], bool)
        assert_fits(page, width)
    assert_accessible(page)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_everybody_can_use_the_other_pages(open_page, width, scheme):
    for path, logged_in in (("/account/", True), ("/login/", False)):
        page = open_page(path, width=width, scheme=scheme, logged_in=logged_in)
        assert_fits(page, width)
        assert_accessible(page)


@pytest.mark.parametrize("width", [1440, 360])
def test_many_devices_fit_the_page(open_page, product, hold, width):
    hold(every(5, 30, Wandering(many_devices(product.real))))
    page = open_page(width=width)
    for summary in page.locator(".picker summary").all():
        summary.click()
    eventually(lambda: page.evaluate(DRAWN), any)
    assert_fits(page, width)
    assert page.locator('[data-series^="disk.devices."][data-series$=".util_percent"]').count() == 4


def test_the_crosshair_is_on_all_charts_with_the_values_of_its_moment(
    open_page, quarter_of_an_hour
):
    page = open_page("/?refresh=off")
    eventually(lambda: page.evaluate(DRAWN), lambda drawn: all(drawn[:4]))
    newest = legend(page, "cpu.load_avg_1m")
    box = page.locator("time-chart .plot").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown = (
        "() => [...document.querySelectorAll('.crosshair')].slice(0, 4).map((one) => one.hidden)"
    )
    assert page.evaluate(shown) == [False] * 4
    times = page.eval_on_selector_all(
        ".crosshair", "all => all.slice(0, 4).map(one => one.dataset.time)"
    )
    assert len({*times}) == 1
    find = "points.times.findIndex((time) => new Date(time).toTimeString().startsWith('{}'))"
    index = feed(page, find.format(times[0]))
    value = feed(page, f"points.series['cpu.load_avg_1m'][{index}]")
    assert float(legend(page, "cpu.load_avg_1m")) == pytest.approx(value, abs=0.005)
    page.mouse.move(5, 5)
    assert page.evaluate(shown) == [True] * 4
    assert legend(page, "cpu.load_avg_1m") == newest


def test_a_pause_asks_for_nothing_says_so_and_ends(steered, quarter_of_an_hour):
    page = steered()
    page.clock.run_for(6_000)
    eventually(page.asked, lambda count: count == 1)
    page.click(".pause")
    page.clock.run_for(120_000)
    assert page.asked() == 1
    assert re.search(r"Paused at \d\d:\d\d:\d\d", page.inner_text(".status"))
    page.keyboard.press("p")
    eventually(page.asked, lambda count: count == 2)
    page.wait_for_selector(".status:not(.paused)")


def test_the_rate_is_in_the_address_and_is_followed(steered, quarter_of_an_hour):
    page = steered("/?range=5m")
    page.select_option("[name=refresh]", "30s")
    assert page.url.endswith("/?range=5m&refresh=30s")
    eventually(page.asked, lambda count: count == 1)
    page.clock.run_for(25_000)
    assert page.asked() == 1
    page.clock.run_for(6_000)
    eventually(page.asked, lambda count: count == 2)
    page.reload()
    assert page.input_value("[name=refresh]") == "30s"
    page.select_option("[name=refresh]", "")
    assert page.url.endswith("/?range=5m")


def test_keys_pause_refresh_help_and_go(steered, quarter_of_an_hour):
    page = steered("/?refresh=off")
    page.keyboard.press("r")
    eventually(page.asked, lambda count: count == 1)
    page.keyboard.press("p")
    assert page.get_attribute(".pause", "aria-pressed") == "true"
    page.keyboard.press("?")
    assert page.locator("dialog[open]").inner_text().startswith("Keys")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0

    def go_to_the_live_page():
        page.keyboard.press("g")
        page.keyboard.press("d")
        return page.url

    eventually(go_to_the_live_page, lambda url: url.endswith("/"), limit=30)


def test_ranges_are_links_and_show_as_much(open_page, product, hold):
    hold(every(1, 1000, Wandering(product.real)))
    page = open_page("/?refresh=1m")
    assert feed(page, "points.times.length") <= 360
    page.click(".ranges a:text-is('5m')")
    page.wait_for_url("**/?refresh=1m&range=5m")
    assert page.inner_text(".ranges [aria-current]") == "5m"
    assert feed(page, "points.to - document.querySelector('live-feed').points.from") == 300_000
    eventually(lambda: page.evaluate(DRAWN), lambda drawn: drawn[0])


def test_a_folded_group_stays_so(open_page, quarter_of_an_hour):
    page = open_page()
    memory_group = page.locator("fold-group[name=Memory] > details")
    memory_group.locator("> summary").click()
    page.reload()
    assert memory_group.get_attribute("open") is None
    memory_group.locator("> summary").click()
    page.reload()
    assert memory_group.get_attribute("open") is not None


def test_chosen_devices_are_drawn_and_stand_in_the_address(open_page, product, hold):
    hold(every(5, 30, Wandering(many_devices(product.real, disks=12))))
    page = open_page("/?range=5m")
    picker = page.locator(".picker", has_text="Disks:")
    picker.locator("summary").click()
    for _ in range(4):
        picker.locator("input:checked").first.uncheck()
    for name in ("nvme3n1", "nvme10n1"):
        picker.locator(f"input[value={name}]").check()
    picker.locator("button").click()
    page.wait_for_url("**disk=nvme**")
    assert "range=5m" in page.url
    assert "Disks: 2 of 12 shown" in page.inner_text("fold-group[name=Disk]")
    drawn = page.eval_on_selector_all(
        '[data-series$=".util_percent"]', "all => all.map(one => one.dataset.series)"
    )
    assert sorted(drawn) == [f"disk.devices.{n}.util_percent" for n in ("nvme10n1", "nvme3n1")]


def test_a_reboot_and_a_changed_interval_are_marked(open_page, product, hold):
    samples = every(5, 60, Wandering(product.real))
    for _, document in samples[30:]:
        document["host"]["boot_id"] = "another"
    for _, document in samples[45:]:
        document["sampler"]["interval_seconds"] = 6
    hold(samples)
    page = open_page("/?range=5m&refresh=off")
    assert [what for _, what in feed(page, "points.marks")] == ["reboot", "every 5 s → 6 s"]


def test_without_any_sample_the_page_says_what_to_do(open_page, hold):
    hold()
    page = open_page("/?refresh=off")
    assert "No sample yet" in page.inner_text(".status")
    assert "make run" in page.inner_text(".status")
    assert "Paused" in page.inner_text(".status")
    assert (
        eventually(lambda: page.inner_text(".nothing >> nth=0"), bool) == "No samples in this range"
    )
    assert page.title() == "PerfWatch"


def test_the_first_sample_is_shown_and_the_second_brings_rates(open_page, product, hold):
    hold()
    page = open_page("/?range=5m")
    assert "No sample yet" in page.inner_text(".status")
    moments = every(5, 2, Wandering(product.real))
    moments[0][1]["cpu"]["usage_percent"] = None
    insert(product.database, moments[:1])
    page.keyboard.press("r")
    page.wait_for_selector(".status.live")
    assert "Rates come with the second sample" in page.inner_text(".status")
    radius = "document.querySelector('time-chart').chart?.getDatasetMeta(0).data[0]?.options.radius"
    eventually(lambda: page.evaluate(radius), lambda size: size == 2)
    insert(product.database, moments[1:])
    page.keyboard.press("r")
    eventually(lambda: page.evaluate(radius), lambda size: size == 0)
    eventually(lambda: page.inner_text(".status"), lambda text: "Rates" not in text)
    eventually(lambda: page.evaluate(DRAWN), lambda drawn: drawn[0])


def test_a_stopped_sampler_is_told_also_while_the_page_pauses(open_page, product, hold):
    hold(every(5, 60, Wandering(product.real), until=datetime.now(UTC) - timedelta(minutes=2)))
    for path in ("/", "/?refresh=off"):
        page = open_page(path)
        assert page.inner_text(".status").startswith("▲ Stale: no sample for 2 min")
        assert page.title().startswith(
            ("stale · ", "✖ critical · stale · ", "▲ warning · stale · ")
        )


def test_a_collector_without_data_says_why(open_page, product, hold):
    samples = every(5, 30, Wandering(product.real))
    reason = "failed: OSError: /proc/net/dev is away"
    for _, document in samples:
        document["sampler"]["status"]["network"] = reason
        document["network"] = {}
    hold(samples)
    page = open_page()
    page.locator("fold-group[name=Network] time-chart").first.scroll_into_view_if_needed()
    shown = page.locator("fold-group[name=Network] .nothing").first
    eventually(shown.inner_text, lambda text: text == reason)


@pytest.mark.parametrize(
    ("usage", "title"), [(10.0, ""), (85.0, "▲ warning · "), (99.0, "✖ critical · ")]
)
def test_the_title_says_the_level(open_page, product, hold, usage, title):
    [(moment, document)] = every(5, 1, Wandering(product.real))
    document["pressure"] = document["disk"] = {}
    document["memory"] |= {"percent": 10.0, "swap_percent": 0.0}
    document["cpu"] |= {"usage_percent": usage, "iowait_percent": 0.0, "steal_percent": 0.0}
    document["cpu"] |= {"load_avg_1m": 0.1, "temperature_celsius": None}
    hold([(moment, document)])
    assert open_page().title() == f"{title}{document['host']['name']} · PerfWatch"


def test_the_browsers_memory_does_not_grow_with_the_updates(open_page, quarter_of_an_hour):
    page = open_page("/?range=5m&refresh=off")
    page.set_viewport_size({"width": 700, "height": 600})
    page.route("**/live/**", FastForward(60_000))
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")
    for _ in range(WARM_UP):
        page.evaluate(UPDATE)
    heap, nodes, listeners = memory(tools)
    for _ in range(UPDATES):
        page.evaluate(UPDATE)
    later = memory(tools)
    assert later[1] - nodes < UPDATES / 3
    assert later[2] == listeners
    assert later[0] - heap < MOST_GROWTH
    assert feed(page, "points.times.length") == 61
