"""The settings page in a real browser: rehearsal, two people, a lost session, cleaning up."""

import signal
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe

from metrics.tests.made_samples import Wandering, every, insert
from perfwatch_site.tests.product import PASSWORD, Product, eventually, log_in

pytestmark = pytest.mark.browser

LOOKS = [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")]
PAGES = ("/settings/", "/settings/cleanup/")


def started(directory):
    """PerfWatch whose sampler waits, without any sample."""
    product = Product(directory)
    product.start()
    eventually(lambda: product.query("SELECT count(*) FROM metrics_snapshot")[0][0], bool)
    product.signal_sampler(signal.SIGSTOP)
    product.query("DELETE FROM metrics_snapshot")
    return product


def fill(product):
    """Samples that are 40 days old and 20 days old, and those of the last hours."""
    wandering = Wandering(product.sample())
    now = datetime.now(UTC)
    for age, seconds, count in ((40, 60, 120), (20, 60, 120), (0, 60, 400)):
        insert(product.database, every(seconds, count, wandering, now - timedelta(days=age)))
    product.query("""UPDATE config SET value = '{"interval_seconds":60}' WHERE key = 'sampling'""")


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    product = started(tmp_path_factory.mktemp("product"))
    fill(product)
    yield product
    product.stop()


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    product = started(tmp_path_factory.mktemp("empty"))
    yield product
    product.stop()


@pytest.fixture
def as_it_was(product):
    """Puts the settings back that a test changes."""
    yield
    product.query("UPDATE archive_policy SET retention_days = 30, downsample_after_days = 7")
    product.query("""UPDATE config SET value = '{"interval_seconds":60}' WHERE key = 'sampling'""")


def rehearsal(page):
    return page.inner_text("#rehearsal")


def note(page):
    return page.inner_text("#settings > .note >> nth=0")


def policy(product):
    return product.query("SELECT retention_days, downsample_after_days FROM archive_policy")[0]


def usable(page, width):
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_the_pages(open_page, path, width, scheme):
    page = open_page(path, width=width, scheme=scheme)
    usable(page, width)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_everybody_can_use_them_before_the_first_sample(chromium, empty, width, scheme):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with chromium.new_context(**options) as context:
        page = context.new_page()
        log_in(page, empty.url)
        for path in PAGES:
            page.goto(empty.url + path)
            usable(page, width)
        assert "Nothing is old enough" in page.inner_text("main")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_mistakes_and_news_can_be_read_by_everybody(open_page, product, as_it_was, width, scheme):
    page = open_page("/settings/", width=width, scheme=scheme)
    product.query("UPDATE archive_policy SET retention_days = 60")
    page.fill("[name=interval_seconds]", "0")
    page.click("#save")
    page.wait_for_selector("#id_interval_seconds_error")
    usable(page, width)


def test_the_rehearsal_answers_while_one_types_and_changes_nothing(open_page, product):
    page = open_page("/settings/")
    assert "What this does" in rehearsal(page)
    assert "120 rows older than 30 days will be deleted." in rehearsal(page)
    page.fill("[name=retention_days]", "")
    page.locator("[name=retention_days]").press_sequentially("10", delay=20)
    eventually(lambda: rehearsal(page), lambda text: "240 rows older than 10 days" in text)
    assert "Keep samples for: 30 days → 10 days" in rehearsal(page)
    assert page.evaluate("document.activeElement.name") == "retention_days"
    page.uncheck("[name=archive_enabled]")
    eventually(lambda: rehearsal(page), lambda text: "None by itself." in text)
    page.select_option("[name=downsample_interval]", "1 day")
    eventually(lambda: rehearsal(page), lambda text: "1 hour → 1 day" in text)
    page.fill("[name=interval_seconds]", "0")
    eventually(lambda: rehearsal(page), lambda text: "from 1 to 3,600" in text)
    assert policy(product) == (30, 7)


def test_what_is_saved_is_said_and_stays(open_page, product, as_it_was):
    page = open_page("/settings/")
    page.fill("[name=retention_days]", "90")
    page.click("#save")
    page.wait_for_selector("#settings > .success")
    assert "keep samples for 30 days → 90 days" in note(page)
    assert policy(product) == (90, 7)
    assert "What this does" in rehearsal(page)
    page.fill("[name=retention_days]", "91")
    page.keyboard.press("Enter")
    eventually(lambda: policy(product), lambda found: found == (91, 7))


def test_of_two_browsers_the_second_is_told_and_can_save_again(open_page, product, as_it_was):
    first, second = open_page("/settings/"), open_page("/settings/")
    first.fill("[name=retention_days]", "90")
    second.fill("[name=retention_days]", "14")
    first.click("#save")
    first.wait_for_selector("#settings > .success")
    second.click("#save")
    second.wait_for_selector("#settings > .error")
    assert "somebody was quicker" in note(second)
    told = second.inner_text("#settings > .note >> nth=1")
    assert "Keep samples for: 30 days → 90 days, by admin at" in told
    assert second.input_value("[name=retention_days]") == "14"
    assert policy(product) == (90, 7)
    second.click("#save")
    second.wait_for_selector("#settings > .success")
    assert policy(product) == (14, 7)


@pytest.mark.parametrize("action", ["save", "type"])
def test_what_was_typed_survives_a_lost_session(open_page, product, as_it_was, action):
    page = open_page("/settings/")
    page.fill("[name=perf_events_cpus]", "0-1")
    page.wait_for_timeout(500)
    page.context.clear_cookies(name="perfwatch")
    page.fill("[name=retention_days]", "14")
    if action == "save":
        page.click("#save")
    page.wait_for_selector("[name=password]")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#settings")
    assert "Not saved yet: below is what you typed." in note(page)
    assert page.input_value("[name=retention_days]") == "14"
    assert page.input_value("[name=perf_events_cpus]") == "0-1"
    assert policy(product) == (30, 7)


def test_what_was_typed_survives_a_login_in_another_tab(open_page, product, as_it_was):
    page = open_page("/settings/")
    other = page.context.new_page()
    page.context.clear_cookies(name="perfwatch")
    log_in(other, product.url)
    page.fill("[name=retention_days]", "14")
    page.wait_for_url("**/settings/?*retention_days=14*")
    page.wait_for_selector("#settings > .note")
    assert page.input_value("[name=retention_days]") == "14"
    page.click("#save")
    page.wait_for_selector("#settings > .success")
    assert policy(product) == (14, 7)
    other.close()


def test_a_server_that_is_away_is_said_and_what_was_typed_stays(open_page, product, as_it_was):
    page = open_page("/settings/")
    page.route("**/settings/", lambda route: route.abort())
    page.fill("[name=retention_days]", "14")
    page.click("#save")
    page.wait_for_selector("settings-form > .error:not([hidden])")
    assert "does not answer" in page.inner_text("settings-form > .error")
    assert page.input_value("[name=retention_days]") == "14"
    page.unroute("**/settings/")
    page.click("#save")
    page.wait_for_selector("#settings > .success")
    assert not page.is_visible("settings-form > .error")
    complaints = open_page.opened[0][1].complaints
    complaints[:] = [
        one for one in complaints if not any(w in one for w in ("ERR_FAILED", "htmx:"))
    ]


def test_without_scripts_everything_is_there(open_page, product, as_it_was):
    page = open_page("/settings/", java_script_enabled=False)
    page.fill("[name=retention_days]", "10")
    page.click("[name=do]")
    assert "240 rows older than 10 days will be deleted." in rehearsal(page)
    assert page.input_value("[name=retention_days]") == "10"
    assert policy(product) == (30, 7)
    page.click("#save")
    assert "keep samples for 30 days → 10 days" in page.inner_text(".note.success")
    assert policy(product) == (10, 7)


def test_the_keys_lead_here(open_page):
    page = open_page("/history/?from=now-1h")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/settings/")


def test_a_clean_up_runs_by_its_polls_to_its_end(open_page, product):
    page = open_page("/settings/")
    page.click("text=Clean up now …")
    page.wait_for_selector("text=120 rows older than 30 days will be deleted.")
    page.click("#cleanup button")
    page.wait_for_selector("#cleanup progress")
    page.wait_for_selector("#cleanup .success", timeout=60_000)
    assert "120 rows deleted, 120 downsampled" in page.inner_text("#cleanup")
    rows = product.query(
        "SELECT count(*) FROM metrics_snapshot WHERE timestamp < datetime('now', '-7 days')"
    )
    assert 1 <= rows[0][0] <= 4
    page.click("text=Back to the settings")
    assert "Downsampled" in page.inner_text("main")


def test_without_scripts_a_clean_up_goes_on_by_a_button(open_page, product):
    fill(product)
    page = open_page("/settings/cleanup/", java_script_enabled=False)
    page.click("#cleanup button")
    for _ in range(30):
        if page.locator("#cleanup .success").count():
            break
        page.click("#cleanup button")
    assert "Done in" in page.inner_text("#cleanup")
