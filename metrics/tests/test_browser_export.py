"""Files of the history page, saved in a real browser."""

import csv
import struct
from urllib.parse import parse_qs, urlsplit

import pytest

from perfwatch_site.tests.product import Product, Watched, browser, eventually, log_in

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium_path, tmp_path_factory):
    """The history page of the last five minutes, with charts that are drawn."""
    product = Product(tmp_path_factory.mktemp("product"))
    product.start()
    try:
        with browser(chromium_path) as chromium:
            watched = Watched(chromium.new_page(viewport={"width": 1440, "height": 900}))
            log_in(watched.page, product.url)
            watched.page.goto(f"{product.url}/history/?from=now-5m&to=now&chart=cpu&chart=cores")
            eventually(lambda: drawn(watched.page), lambda points: points >= 1, limit=30)
            yield watched.page
            assert watched.complaints == []
    finally:
        product.stop()


def drawn(page):
    page.evaluate("document.dispatchEvent(new CustomEvent('perfwatch:refresh'))")
    return page.evaluate(
        "document.querySelector('time-chart').points?.series['cpu.user_percent']"
        ".filter((value) => value !== null).length ?? 0"
    )


def saved(page, menu, item, path):
    page.locator(menu).locator("summary").first.click()
    with page.expect_download() as download:
        page.locator(menu).get_by_text(item, exact=True).click()
    download.value.save_as(path)
    return download.value


def test_a_chart_is_saved_as_the_points_that_it_drew(page, tmp_path):
    heading = page.locator("time-chart").first.evaluate(
        "(chart) => chart.closest('.chart').querySelector('h3').textContent"
    )
    menu = f".chart:has(h3:text-is('{heading}')) export-menu"
    download = saved(page, menu, "CSV", tmp_path / "chart.csv")
    asked = parse_qs(urlsplit(download.url).query)
    span = page.evaluate("document.querySelector('history-range').span")
    assert [int(asked[name][0]) for name in ("from", "to")] == [
        round(span["from"]),
        round(span["to"]),
    ]
    names = page.evaluate("document.querySelector('time-chart').names")
    head, *rows = csv.reader((tmp_path / "chart.csv").open(newline=""))
    assert [name.partition(" ")[0] for name in head[1::3]] == names
    assert any(all(row) for row in rows)
    assert download.suggested_filename.startswith("perfwatch-cpu-2")


@pytest.mark.parametrize("chart", ["time-chart", "core-strip"])
def test_a_chart_is_saved_as_a_picture(page, tmp_path, chart):
    menu = f".chart:has({chart}) export-menu"
    download = saved(page, menu, "PNG", tmp_path / "chart.png")
    data = (tmp_path / "chart.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    plot = page.locator(chart).first.locator("canvas").bounding_box()
    assert width == round(plot["width"]) + 32
    assert height >= plot["height"] + 56
    assert len(data) > 3_000
    assert download.suggested_filename.endswith("Z.png")


def test_the_page_is_saved_as_whole_snapshots(page, tmp_path):
    path = tmp_path / "all.jsonl"
    saved(page, ".bar export-menu", "JSON Lines: the whole snapshots of this range", path)
    assert path.read_text().count('"metric_type":"aggregated"') >= 1
    assert page.locator(".bar .menu[open]").count() == 0
