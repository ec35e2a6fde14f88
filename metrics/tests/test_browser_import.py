"""Importing and removing in a real browser: uploaded, followed, told, removed."""

import gzip
import json
import signal
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from metrics.tests.archives import printed, said
from metrics.tests.test_browser_settings import LOOKS, usable
from perfwatch_site.tests.product import Product, eventually

pytestmark = pytest.mark.browser

PAGE = "/settings/import/"
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    product = Product(tmp_path_factory.mktemp("product"))
    product.start()
    product.signal_sampler(signal.SIGSTOP)
    yield product
    product.stop()


@pytest.fixture(scope="module")
def document(product):
    return product.sample()


@pytest.fixture
def nothing_imported(product):
    yield
    product.query("DELETE FROM metrics_snapshot WHERE id < 0")


@pytest.fixture
def week(tmp_path, document):
    """Enough for some steps: 3,000 snapshots, gzipped."""
    rows = []
    for number in range(3_000):
        at = (START + timedelta(minutes=number)).isoformat()
        sampler = {"interval_seconds": 60, "status": {}}
        data = document | {"timestamp": at, "sampler": sampler}
        row = {"timestamp": at, "metric_type": "aggregated", "metric_data": data}
        rows.append(json.dumps(row))
    path = tmp_path / "week.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return path


@pytest.fixture
def day(tmp_path):
    """A day of sar's, as sadf prints it."""
    times = [(START + timedelta(minutes=10 * n)).strftime("%H:%M:%S") for n in range(144)]
    path = tmp_path / "sa01.json"
    path.write_text(printed(*(said(time, queue={"ldavg-1": 1.0}) for time in times)))
    return path


def choose(page, *paths):
    page.set_input_files("[name=file]", [str(path) for path in paths])


def imported(product):
    return product.query("SELECT count(*) FROM metrics_snapshot WHERE id < 0")[0][0]


def test_from_the_settings_to_the_summary_and_away_again(
    open_page, product, week, nothing_imported
):
    page = open_page("/settings/")
    page.click("text=Import files …")
    page.wait_for_selector("text=Nothing was imported yet.")
    choose(page, week)
    page.click("upload-form button")
    page.wait_for_selector("#import progress")
    assert "Importing week.jsonl.gz" in page.inner_text("main")
    page.wait_for_selector(".note.success", timeout=60_000)
    assert "Imported 3,000 rows of week.jsonl.gz" in page.inner_text(".note.success")
    assert imported(product) == 3_000
    page.wait_for_selector("td:has-text('3,000')")
    page.click("summary")
    assert "All 3,000 rows of snapshots:" in page.inner_text(".removal")
    page.click(".removal button")
    page.wait_for_selector("text=Removed 3,000 rows", timeout=60_000)
    page.wait_for_selector("text=Nothing was imported yet.")
    assert imported(product) == 0


def test_what_was_imported_can_be_looked_at(open_page, day, nothing_imported):
    page = open_page(PAGE)
    choose(page, day)
    page.click("upload-form button")
    page.wait_for_selector(".note.success", timeout=60_000)
    page.click("text=Look at them")
    page.wait_for_url("**/history/?from=2026-02-28T23:59*to=2026-03-01T23:51*")
    page.wait_for_load_state("networkidle")
    assert "10 min per point" in page.inner_text("main")


def test_a_tab_that_was_closed_costs_nothing(open_page, product, week, nothing_imported):
    page = open_page(PAGE)
    choose(page, week)
    page.click("upload-form button")
    page.wait_for_selector("#import progress")
    page.close()
    page = open_page(PAGE)
    page.wait_for_selector(".note.success", timeout=60_000)
    assert imported(product) == 3_000


def test_a_server_that_was_killed_goes_on_where_it_was(open_page, product, week, nothing_imported):
    page = open_page(PAGE)
    choose(page, week)
    page.check("[name=skip_bad]")
    page.click("upload-form button")
    eventually(lambda: imported(product), bool)
    page.close()
    everything = psutil.Process(product.process.pid).children(recursive=True)
    web = [one for one in everything if "gunicorn" in one.cmdline()]
    for one in web:
        one.kill()
    psutil.wait_procs(web)
    assert 0 < imported(product) < 3_000
    eventually(product.answers, bool)
    page = open_page(PAGE)
    page.wait_for_selector(".note.success", timeout=60_000)
    assert imported(product) == 3_000
    folder = product.directory / "data" / "import"
    assert [path.name for path in folder.iterdir()] == ["job.json"]


def test_what_is_no_file_of_samples_is_said_beside_it(open_page, product, tmp_path):
    (tmp_path / "notes.txt").write_text("nothing of ours")
    page = open_page(PAGE)
    choose(page, tmp_path / "notes.txt")
    page.click("upload-form button")
    page.wait_for_selector(".answer .note")
    assert "notes.txt, line 1: it is neither" in page.inner_text(".answer")
    assert page.input_value("[name=file]").endswith("notes.txt")
    assert not page.is_visible(".upload")


def test_the_longest_name_stays_on_the_page(open_page, product, tmp_path):
    path = tmp_path / ("n" * 240 + ".txt")
    path.write_text("nothing of ours")
    page = open_page(PAGE, width=360)
    choose(page, path)
    page.click("upload-form button")
    page.wait_for_selector(".answer .note")
    usable(page, 360)


def test_a_mistake_is_named_and_can_be_left_out(open_page, product, week, nothing_imported):
    bad = week.with_name("bad.jsonl")
    lines = gzip.decompress(week.read_bytes()).splitlines()[:3]
    bad.write_bytes(b"\n".join([*lines, b'{"metric_type": "aggregated"}']))
    page = open_page(PAGE)
    choose(page, bad)
    page.click("upload-form button")
    page.wait_for_selector("main .note.error")
    assert "bad.jsonl, line 4, timestamp: None is no time." in page.inner_text(".note.error")
    assert imported(product) == 0
    choose(page, bad)
    page.check("[name=skip_bad]")
    page.click("upload-form button")
    page.wait_for_selector(".note.success")
    assert "1 bad one left out" in page.inner_text(".note.success")
    assert imported(product) == 3


def test_what_is_too_large_is_not_even_sent(open_page, week):
    page = open_page(PAGE)
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    page.evaluate("document.querySelector('[name=file]').dataset.most = 1000")
    choose(page, week)
    page.click("upload-form button")
    assert "That is more than" in page.evaluate(
        "document.querySelector('[name=file]').validationMessage"
    )
    assert "POST" not in sent


def test_a_server_that_is_away_is_said_and_the_files_stay_chosen(open_page, day):
    page = open_page(PAGE)
    page.route("**/settings/import/", lambda route: route.abort())
    choose(page, day)
    page.click("upload-form button")
    page.wait_for_selector(".answer .note")
    assert "The upload did not arrive." in page.inner_text(".answer")
    assert page.input_value("[name=file]").endswith("sa01.json")
    complaints = open_page.opened[0][1].complaints
    complaints[:] = [
        one for one in complaints if not any(w in one for w in ("ERR_FAILED", "htmx:"))
    ]


def test_without_scripts_a_button_goes_on(open_page, product, week, nothing_imported):
    page = open_page(PAGE, java_script_enabled=False)
    choose(page, week)
    page.click("upload-form button")
    follow(page)
    assert "Imported 3,000 rows" in page.inner_text(".note.success")
    page.click("noscript a")
    page.click("summary")
    page.click(".removal button")
    follow(page)
    assert "Removed 3,000 rows" in page.inner_text(".note.success")
    assert imported(product) == 0


def follow(page):
    for _ in range(60):
        if page.locator(".note.success").count():
            return
        page.click("#import button")


def test_it_can_be_stopped(open_page, product, week, nothing_imported):
    page = open_page(PAGE)
    choose(page, week)
    page.click("upload-form button")
    page.wait_for_selector("#import progress")
    page.click("[name=stop]")
    page.wait_for_selector("text=Stopped by admin.")
    assert imported(product) < 3_000


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_everybody_can_use_the_page(open_page, day, nothing_imported, width, scheme):
    page = open_page(PAGE, width=width, scheme=scheme)
    page.wait_for_selector("text=Nothing was imported yet.")
    usable(page, width)
    choose(page, day)
    page.click("upload-form button")
    page.wait_for_selector("#import progress")
    usable(page, width)
    page.wait_for_selector(".note.success", timeout=60_000)
    page.click("summary")
    usable(page, width)
