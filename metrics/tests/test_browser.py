"""The product in a real browser, from a wrong login to the logout."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from perfwatch_site.tests.product import eventually, log_in

pytestmark = pytest.mark.browser
ADMINISTRATION = (
    "/admin/",
    "/admin/metrics/",
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
    "/admin/accounts/user/1/change/",
    "/admin/accounts/user/1/password/",
    "/admin/accounts/user/1/history/",
    "/admin/metrics/archivepolicy/",
    "/admin/metrics/archivepolicy/1/change/",
    "/admin/metrics/config/",
    "/admin/metrics/config/retention/change/",
    "/admin/metrics/metricssnapshot/",
    "/admin/metrics/metricssnapshot/1/change/",
    "/admin/metrics/rollup/",
)


def points_held(page):
    return page.evaluate("document.querySelector('live-feed').points.times.length")


def points_drawn(page):
    return page.evaluate(
        "[...document.querySelectorAll('time-chart')].slice(0, 2).map("
        "chart => chart.chart?.data.datasets[0].data.filter(point => point.y !== null).length ?? 0)"
    )


def poll_period(page):
    return page.evaluate("document.querySelector('live-feed').period")


def test_a_wrong_password_is_refused_in_words_and_keeps_the_name(chromium, product):
    page = chromium.new_context().new_page()
    log_in(page, product.url, password="wrong")
    assert "Username or password is wrong" in page.inner_text("[role=alert]")
    assert page.input_value("[name=username]") == "admin"
    page.context.close()


def test_the_login_leads_to_the_page_that_was_asked_for(open_page, product):
    page = open_page("/account/", logged_in=False)
    assert page.url == f"{product.url}/login/?next=/account/"
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", "correct horse battery")
    page.click("button.primary")
    page.wait_for_url(f"{product.url}/account/")


def test_charts_are_drawn_from_the_database_and_a_new_point_arrives(open_page):
    page = open_page()
    eventually(lambda: points_drawn(page), lambda drawn: min(drawn) >= 1, limit=20)
    before = points_held(page)
    eventually(lambda: points_held(page), lambda held: held > before)
    assert page.locator(".status.live").count() == 1
    assert re.search(r"\d", page.inner_text(".tile >> nth=1"))


def test_the_theme_is_remembered(open_page):
    page = open_page(scheme="light")
    for _ in ("light", "dark"):
        page.click("theme-switch button")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_numbers_are_there_without_javascript(open_page):
    page = open_page(java_script_enabled=False)
    assert re.search(r"\d", page.inner_text(".tile >> nth=1"))
    assert "need JavaScript" in page.inner_text("main")


def test_a_changed_interval_takes_effect_on_the_page(open_page):
    live = open_page()
    admin = open_page("/admin/metrics/config/sampling/change/")
    admin.fill("[name=value]", '{"interval_seconds": "soon"}')
    admin.click("[name=_save]")
    assert "sampling.interval_seconds must be a whole number" in admin.inner_text(".errorlist")
    admin.fill("[name=value]", json.dumps({"interval_seconds": 1}))
    admin.click("[name=_save]")
    admin.wait_for_selector(".success")
    live.wait_for_selector(".status.live")
    eventually(lambda: poll_period(live), lambda period: period == 1000, limit=20)
    before = points_held(live)
    eventually(lambda: points_held(live), lambda held: held >= before + 3, limit=6)


def test_the_page_says_that_the_server_is_away_and_goes_on_when_it_is_back(open_page, product):
    page = open_page()
    page.wait_for_selector(".status.live")
    product.stop()
    page.wait_for_selector(".status.disconnected", timeout=15_000)
    assert "does not answer" in page.inner_text(".status")
    before = points_held(page)
    product.start()
    page.wait_for_selector(".status.live", timeout=20_000)
    eventually(lambda: points_held(page), lambda held: held > before)
    complaints = open_page.opened[0][1].complaints
    # The browser and htmx report the connection that failed; nothing else may have.
    allowed = ("ERR_CONNECTION_", "ERR_EMPTY_RESPONSE", "htmx:sendError", "htmx:afterRequest")
    complaints[:] = [one for one in complaints if not any(word in one for word in allowed)]


def test_a_session_that_ended_leads_to_the_login_and_back(open_page, product):
    page = open_page()
    page.wait_for_selector(".status.live")
    page.context.clear_cookies()
    page.wait_for_url(f"{product.url}/login/?next=/", timeout=15_000)


def test_the_administration_keeps_the_policy_fits_a_small_screen_and_is_readable(
    open_page, product
):
    page = open_page("/admin/", width=360, scheme="dark")
    for path in ADMINISTRATION:
        page.goto(product.url + path)
        assert page.locator("#content").count() == 1, path
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], path


def test_the_administration_follows_the_theme_that_was_chosen(open_page):
    page = open_page("/admin/metrics/config/", scheme="dark")
    assert page.inner_text(".pages [aria-current]") == "Administration"
    grounds = set()
    for _ in ("system", "light", "dark"):
        look = "element => getComputedStyle(element).backgroundColor"
        grounds.add(page.locator("body").evaluate(look) + page.locator(".module").evaluate(look))
        page.click("theme-switch button")
    assert len(grounds) == 2


def test_a_stored_snapshot_is_found_by_its_time_and_folds(open_page):
    page = open_page("/admin/metrics/metricssnapshot/")
    page.fill("[name=since]", "2020-01-01T00:00")
    page.click("#changelist-filter button")
    page.wait_for_url("**since=2020-01-01T00%3A00**")
    page.click("#result_list tbody a >> nth=0")
    part = page.locator(".document details").first
    assert "{" in part.inner_text()
    part.locator("summary").click()
    assert "{" not in part.inner_text()


def test_logging_out_ends_at_the_login(chromium, product):
    page = chromium.new_context().new_page()
    log_in(page, product.url)
    page.click("text=Log out")
    page.wait_for_url(f"{product.url}/login/")
    page.goto(f"{product.url}/")
    assert page.url == f"{product.url}/login/?next=/"
    page.context.close()
