"""PostgreSQL is stopped, restarted, cut off and frozen while the product runs."""

import time

import pytest
from django.db import connection

from metrics.tests.faults import ages, installed, server
from perfwatch_site.tests.own_servers import start_postgresql
from perfwatch_site.tests.workplace import wait_for

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="PostgreSQL is tested by the run on it"
)


def postgresql(workplace):
    # pytest would make the database that the URL names; this one is always there.
    return start_postgresql(workplace).rpartition("/")[0] + "/postgres"


@pytest.fixture(scope="module")
def database():
    with server(postgresql) as database:
        yield database


@pytest.fixture(scope="module")
def product(database, tmp_path_factory, soak):
    with installed(tmp_path_factory.mktemp("faults"), soak, DATABASE_URL=database.url) as product:
        yield product
        product.check_samples(restarts=99)


def test_a_database_that_is_stopped_costs_no_sample(product, database, soak):
    get = product.browser()
    database.stop()
    try:
        assert wait_for(lambda: product.ready().get("spooled", {}).get("samples", 0) >= 3)
        ready = product.ready()
        assert ready["status"] == "unavailable"
        assert ready["spooled"]["reason"] == "the database is away"
        for path in (
            "/",
            "/history/",
            "/settings/",
            "/api/series/?field=cpu.usage_percent",
        ):
            status, text = get(path)
            assert status == 503
            assert "Traceback" not in text
        assert "spooled since" in get("/")[1]
        time.sleep(60 if soak else 0)
    finally:
        database.start()
    product.samples_after(time.time())
    assert wait_for(lambda: product.ready()["status"] == "ready")
    assert "spooled" not in product.ready()
    product.check_samples()
    assert get("/")[0] == 200


def test_a_database_that_restarts_again_and_again_costs_no_sample(product, database, soak):
    for _ in range(10 if soak else 3):
        database.stop()
        database.start()
        time.sleep(1)
    product.samples_after(time.time())
    product.check_samples()


def test_connections_that_are_cut_cost_no_sample(product, soak):
    for _ in range(10 if soak else 3):
        product.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid != pg_backend_pid() AND backend_type = 'client backend'"
        )
        product.samples_after(time.time(), count=1)
    product.check_samples()


@pytest.mark.parametrize(("how", "seconds"), [("frozen", 12), ("cut_off", 4)])
def test_a_database_that_neither_answers_nor_refuses_costs_no_sample(
    product, database, soak, how, seconds
):
    with getattr(database, how)():
        assert wait_for(lambda: "it does not answer" in product.log)
        time.sleep(60 if soak else seconds)  # 12: longer than a connection is waited for
    product.samples_after(time.time())
    product.check_samples()


def test_a_database_whose_disk_is_full_costs_no_sample(product, database, soak):
    with database.full():
        assert wait_for(lambda: product.spooled()["reason"].endswith("its disk is full"), 60)
        time.sleep(60 if soak else 0)
    product.samples_after(time.time())
    product.check_samples()


def test_a_sampler_that_is_killed_while_the_database_is_away_loses_nothing_it_had(
    product, database, soak
):
    database.stop()
    try:
        for _ in range(10 if soak else 1):
            spool = product.directory / "data" / "spool.jsonl"
            lines = spool.read_bytes().count(b"\n")
            assert wait_for(lambda: spool.read_bytes().count(b"\n") >= lines + 2, 60)  # noqa: B023
            product.kill("sampler")
        taken = spool.read_text().splitlines()
    finally:
        database.start()
    product.samples_after(time.time())
    stored = {row.sampler["id"] for row in product.check_samples(restarts=99)}
    assert {line.split('"')[3] for line in taken} <= stored


def test_a_sampler_that_is_killed_at_any_time_doubles_nothing(product, soak):
    for age in ages(50 if soak else 1):
        product.kill("sampler", age)
    product.samples_after(time.time())
    product.check_samples(restarts=99)


def test_a_read_only_database_costs_no_sample(product):
    try:
        product.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        product.execute("SELECT pg_reload_conf()")
        assert wait_for(
            lambda: product.ready().get("spooled", {}).get("reason", "").endswith("read-only")
        )
    finally:
        with_writing = "SET default_transaction_read_only = off"
        product.execute(with_writing)
        product.execute("ALTER SYSTEM RESET default_transaction_read_only")
        product.execute("SELECT pg_reload_conf()")
    product.samples_after(time.time())
    product.check_samples(restarts=99)
