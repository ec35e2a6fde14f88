"""Redis is stopped, restarted, emptied and frozen; processes are killed: the product goes on."""

import time

import pytest
from django.db import connection

from metrics.tests.faults import ages, installed, server
from perfwatch_site.tests.own_servers import start_redis
from perfwatch_site.tests.servers import missing
from perfwatch_site.tests.workplace import wait_for

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="Redis is tested by the run on SQLite"
)


def redis(workplace):
    return start_redis(workplace) or missing("no Redis: install redis-server")


@pytest.fixture(scope="module")
def broker():
    with server(redis) as broker:
        yield broker


@pytest.fixture(scope="module")
def product(broker, tmp_path_factory, soak):
    with installed(tmp_path_factory.mktemp("faults"), soak, REDIS_URL=broker.url) as product:
        yield product
        product.check_samples(restarts=99)


def test_sampling_goes_on_when_redis_is_back(product, broker, soak):
    broker.stop()
    try:
        assert wait_for(lambda: "the broker does not answer" in product.spooled()["trouble"])
        if soak:
            time.sleep(60)
            assert product.ready()["status"] == "stale"
            assert "the broker does not answer" in product.ready()["reason"]
    finally:
        broker.start()
    product.samples_after(time.time())
    assert wait_for(lambda: not product.spooled()["trouble"])
    product.check_samples(restarts=1)


def test_sampling_goes_on_when_redis_restarts_again_and_again(product, broker, soak):
    for _ in range(10 if soak else 2):
        broker.stop()
        broker.start()
        time.sleep(1)
    product.samples_after(time.time())
    product.check_samples(restarts=2)


def test_connections_that_are_cut_in_a_burst_cost_a_moment(product, broker, soak):
    # Workers are known to reconnect and to consume nothing after that (celery/celery issue 10205).
    redis = client().from_url(broker.url)
    for _ in range(20 if soak else 1):
        for pause in (0, 0.1, 0.7, 0.3):
            redis.client_kill_filter(_type="normal", skipme=True)
            time.sleep(pause)
        product.samples_after(time.time())
    assert "py.warnings" not in product.log


def test_a_worker_that_waits_sleeps_for_seconds_and_ends_soon(product):
    worker = product.processes()["worker"]
    before = worker.num_ctx_switches().voluntary
    time.sleep(6)
    assert worker.num_ctx_switches().voluntary - before < 6
    worker.terminate()
    # kombu waits for 2 s for an answer that Redis does not owe yet.
    assert wait_for(lambda: product.processes().get("worker") != worker, 3.5)


def test_sampling_goes_on_when_redis_was_emptied(product, broker):
    client().from_url(broker.url).flushall()
    product.samples_after(time.time(), count=3)


def test_sampling_goes_on_when_redis_was_full(product, broker):
    """It answers, and refuses: that must not end the watchdogs."""
    full = client().from_url(broker.url)
    full.config_set("maxmemory", "1")
    try:
        assert wait_for(lambda: "the broker does not answer" in product.spooled()["trouble"])
    finally:
        full.config_set("maxmemory", "0")
    product.samples_after(time.time())
    assert wait_for(lambda: not product.spooled()["trouble"])
    assert "Exception in thread" not in product.log


@pytest.mark.parametrize(("how", "seconds"), [("frozen", 6), ("cut_off", 3)])
def test_sampling_goes_on_when_redis_neither_answered_nor_refused(
    product, broker, soak, how, seconds
):
    with getattr(broker, how)():
        time.sleep(60 if soak else seconds)
    product.samples_after(time.time())


def test_each_process_that_is_killed_is_there_again(product, soak):
    for age in ages(50 if soak else 1):
        for name in ("sampler", "beat", "worker"):
            product.kill(name, age / 3)
    product.samples_after(time.time())
    assert wait_for(lambda: {"sampler", "beat", "worker"} <= product.processes().keys())


def client():
    import redis

    return redis.Redis
