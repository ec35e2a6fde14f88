import threading
import time

import pytest
from kombu import Connection, Queue

import perfwatch_site.in_process  # noqa: F401  names the transport
from perfwatch_site import celery


@pytest.fixture
def connection():
    with Connection("inprocess://localhost/") as connection:
        yield connection


def consumer(connection, received):
    queue = Queue("test-in-process", routing_key="test-in-process")
    return connection.Consumer(
        queue, callbacks=[lambda body, message: (received.append(body), message.ack())]
    )


def test_a_message_wakes_its_consumer_at_once(connection):
    received, latency = [], []

    def put():
        with connection.clone() as other:
            latency.append(time.monotonic())
            other.Producer().publish("tick", routing_key="test-in-process")

    with consumer(connection, received):
        timer = threading.Timer(0.3, put)
        timer.start()
        connection.drain_events(timeout=5)
        woken = time.monotonic()
        timer.join()
    assert received == ["tick"]
    assert woken - latency[0] < 0.1


def test_waiting_without_a_message_ends_after_the_time_out(connection):
    with consumer(connection, []), pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.05)


def test_messages_come_in_order_and_once(connection):
    received = []
    with consumer(connection, received):
        producer = connection.Producer()
        for number in range(5):
            producer.publish(number, routing_key="test-in-process")
        for _ in range(5):
            connection.drain_events(timeout=1)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.01)
    assert received == [0, 1, 2, 3, 4]


def test_a_celery_worker_waits_longer_than_celery_asks_for(monkeypatch):
    monkeypatch.setattr(celery, "IDLE_SECONDS", 0.4)
    with celery.Connection("inprocess://localhost/") as connection, consumer(connection, []):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.01)
    assert time.monotonic() - began >= 0.4
