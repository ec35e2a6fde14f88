"""Counters and the verdict in a real browser, on both pages: with hardware counters and without."""

import re
import signal
from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe

from metrics.collectors.perf_events import HARDWARE, RATIOS
from metrics.tests.made_samples import Wandering, every, insert, with_counters
from perfwatch_site.tests.product import Product, eventually

pytestmark = pytest.mark.browser

LOOKS = [(1440, "light"), (360, "dark")]
PAGES = ["/", "/history/?from=now-15m&to=now"]
CHARTS = [
    "Instructions per cycle",
    "Instructions per cycle, CPU by CPU",
    "Misses per thousand instructions",
    "Share of accesses that miss",
    "TLB misses",
    "Stalled cycles",
    "Instructions",
    "Frequency while busy",
    "Time that was counted",
]
GROUP = "fold-group[name='Counters']"
DASHES = """(name) => {
  const { chart, points } = [...document.querySelectorAll("time-chart")].find(
    (one) => one.closest("article").querySelector("h3").textContent === name);
  const { segment } = chart.data.datasets[0];
  return [2, points.times.length - 2].map((at) => segment.borderDash({ p1DataIndex: at }) ?? null);
}"""
REASON = (
    "This machine shows no hardware counters: a virtual machine needs a virtual PMU, which its "
    "host can switch on."
)


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


def hold(product, samples):
    product.query("DELETE FROM metrics_snapshot")
    insert(product.database, samples)


def quarter_of_an_hour(document):
    """Samples of a busy host whose counters do not wander."""
    samples = every(5, 180, Wandering(document), datetime.now(UTC))
    for number, (_, one) in enumerate(samples):
        one["perf_events"] = dict(document["perf_events"])
        one["cpu"] |= {"usage_percent": 60.0, "iowait_percent": 0.0, "steal_percent": 0.0}
        one["host"] |= {"uptime_seconds": 5.0 * number + 99}
        for pressure in one["pressure"].values():
            pressure["some_stall_percent"] = 1.0
    return samples


@pytest.fixture
def counted(product):
    """A host that waits for memory, and counted seldom in the second half."""
    samples = quarter_of_an_hour(with_counters(product.real, cpus=2))
    for _, document in samples[90:]:
        document["perf_events"]["running_percent"] = 40.0
    hold(product, samples)


@pytest.fixture
def uncounted(product):
    """A host that shows no hardware counters, as the kernel says it of a virtual machine."""
    document = with_counters(product.real, cpus=2)
    hardware = {name.path.partition(".")[2] for name in (*HARDWARE, *RATIOS)}
    document["perf_events"] |= dict.fromkeys(hardware) | {"per_cpu": {}, "reason": REASON}
    hold(product, quarter_of_an_hour(document))


def titles(page):
    return [one.inner_text() for one in page.locator(f"{GROUP} .chart h3").all()]


def seen(page):
    """Scrolls through the group until all of it is drawn."""
    for one in page.locator(f"{GROUP} time-chart, {GROUP} core-strip").all():
        one.scroll_into_view_if_needed()
        eventually(
            lambda one=one: one.evaluate(
                "(one) => one.localName === 'core-strip' ? one.canvas?.width !== 300 : !!one.chart"
            ),
            bool,
        )


def assert_looks_right(page, width):
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in {"serious", "critical"}]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious] == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("path", PAGES)
def test_each_counter_has_its_chart(open_page, counted, path, width, scheme):
    page = open_page(path, width=width, scheme=scheme)
    assert titles(page)[: len(CHARTS)] == CHARTS
    seen(page)
    assert page.locator(f"{GROUP} .absent").count() == 0
    strip = page.locator(f"{GROUP} core-strip")
    strip.scroll_into_view_if_needed()
    if path == "/":
        legend = strip.locator(".legend")
        eventually(legend.inner_text, lambda text: re.search(r"CPU\s1\s0\.60", text))
    assert_looks_right(page, width)


@pytest.mark.parametrize("path", PAGES)
def test_what_was_counted_seldom_is_dotted_and_says_so(open_page, counted, path):
    page = open_page(path)
    seen(page)
    for title in ("Instructions per cycle", "Misses per thousand instructions"):
        assert page.evaluate(DASHES, title) == [None, [1, 3]]
    notes = page.locator(f"{GROUP} .estimated")
    assert all(note.is_visible() for note in notes.all())
    assert "less than half of the time" in notes.first.inner_text()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("path", PAGES)
def test_the_verdict_stands_above_the_charts(open_page, counted, path, width, scheme):
    page = open_page(path, width=width, scheme=scheme)
    verdict = page.locator(".verdict")
    eventually(verdict.count, bool)
    text = verdict.inner_text()
    assert "Waiting for memory." in text
    assert "instructions per cycle 0.6" in text
    first = page.locator(".chart").first.bounding_box()
    assert verdict.bounding_box()["y"] < first["y"]
    verdict.locator("a").click()
    page.wait_for_url("**/help/counters/#waiting-for-memory")
    assert page.locator("#waiting-for-memory").is_visible()
    assert_looks_right(page, width)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("path", PAGES)
def test_where_nothing_is_counted_one_line_says_why(open_page, uncounted, path, width, scheme):
    page = open_page(path, width=width, scheme=scheme)
    assert not {*CHARTS} & {*titles(page)}
    [line] = page.locator(f"{GROUP} .absent").all()
    assert line.inner_text().endswith(REASON)
    assert page.locator(f"{GROUP} .picker").count() == 0
    verdict = page.locator(".verdict")
    eventually(verdict.count, bool)
    assert "Busy." in verdict.inner_text()
    assert f"Without instructions per cycle: {REASON}" in verdict.inner_text()
    assert_looks_right(page, width)
