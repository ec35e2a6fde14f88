"""Fixtures of the tests of metrics."""

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from metrics import rollups
from metrics.tests.processes import Processes, set_interval
from perfwatch_site.tests.product import Product, Watched, browser, log_in


@pytest.fixture
def installed(db):
    """What a new installation starts with: a transactional test may have emptied the tables."""
    write_defaults = import_module("metrics.migrations.0004_default_settings").write_defaults
    write_defaults(apps, SimpleNamespace(connection=connection))


@pytest.fixture
def cpu_alone(monkeypatch):
    """Make roll-ups of one collector: enough to count by, and a ninth of the rows to write."""
    monkeypatch.setattr(rollups, "COLLECTORS", ("cpu",))


@pytest.fixture
def processes(transactional_db, tmp_path):
    """Processes on the test's database, without Redis; samples come every second."""
    set_interval(1)
    running = Processes(tmp_path)
    yield running
    running.close()


@pytest.fixture
def processes_with_redis(transactional_db, tmp_path, redis_url):
    """Processes on the test's database and a real Redis.

    The broker does not see the database, so the run on PostgreSQL leaves it out.
    """
    if connection.vendor != "sqlite":
        pytest.skip("Redis is tested by the run on SQLite")
    set_interval(1)
    running = Processes(tmp_path, REDIS_URL=redis_url)
    yield running
    running.close()


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    product = Product(tmp_path_factory.mktemp("product"))
    product.start()
    yield product
    product.stop()


@pytest.fixture(scope="module")
def chromium(chromium_path):
    with browser(chromium_path) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def session(chromium, product):
    """The cookies of a person who is logged in."""
    context = chromium.new_context()
    log_in(context.new_page(), product.url)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(chromium, product, session):
    """Opens a page in a browser of its own; at the end nothing may have complained."""
    opened = []

    def open_page(path="/", width=1440, scheme="light", logged_in=True, **options):
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            storage_state=session if logged_in else None,
            **options,
        )
        watched = Watched(context.new_page())
        opened.append((context, watched))
        watched.page.goto(product.url + path)
        return watched.page

    open_page.opened = opened
    yield open_page
    complaints = [complaint for _, watched in opened for complaint in watched.complaints]
    for context, _ in opened:
        context.close()
    assert complaints == []
