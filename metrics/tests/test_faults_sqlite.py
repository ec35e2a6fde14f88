"""SQLite's file is locked, cannot grow or cannot be written while the product runs."""

import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest
from django.db import connection

from metrics.tests.faults import ages, installed
from perfwatch_site.tests.workplace import wait_for

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="SQLite is tested by the run on it"
)


@pytest.fixture(scope="module")
def launcher():
    """What takes from root the right to write each file; None where that is not possible."""
    if os.getuid() != 0:
        return []
    command = ["setpriv", "--bounding-set", "-dac_override"]
    works = shutil.which("setpriv") and not subprocess.call([*command, "true"])
    return command if works else None


@pytest.fixture(scope="module")
def product(tmp_path_factory, soak, launcher):
    with installed(tmp_path_factory.mktemp("faults"), soak, launcher or []) as product:
        yield product
        product.check_samples(restarts=99)


def web_process(product):
    found = product.processes().get("gunicorn")
    return found and found.pid


def test_a_file_that_is_locked_costs_no_sample(product, soak):
    other = sqlite3.connect(product.database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert wait_for(lambda: product.spooled()["samples"] >= 3)
        time.sleep(60 if soak else 0)
    finally:
        other.execute("ROLLBACK")
        other.close()
    product.samples_after(time.time())
    assert wait_for(lambda: product.spooled()["samples"] == 0)
    product.check_samples()


def test_a_file_that_cannot_grow_costs_no_sample(product, soak):
    """The kernel refuses what lies beyond a size, as a full disk does; the spool is smaller."""
    sampler = product.processes()["sampler"]
    limit = 100_000
    before = sampler.rlimit(resource.RLIMIT_FSIZE)
    assert product.database.stat().st_size > limit
    sampler.rlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        # What is written to the log still fits, until it is to go into the file.
        product.query("PRAGMA wal_checkpoint(TRUNCATE)")
        assert wait_for(lambda: product.spooled()["samples"] >= 3, 60), product.log
        time.sleep(60 if soak else 0)
    finally:
        sampler.rlimit(resource.RLIMIT_FSIZE, before)
    product.samples_after(time.time())
    product.check_samples()


def test_a_disk_that_is_full_for_file_and_spool_is_said_and_costs_no_sample(product):
    sampler = product.processes()["sampler"]
    before = sampler.rlimit(resource.RLIMIT_FSIZE)
    sampler.rlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        assert wait_for(lambda: "the spool cannot be written" in product.spooled()["reason"], 60)
        assert wait_for(lambda: product.spooled()["samples"] >= 3)
    finally:
        sampler.rlimit(resource.RLIMIT_FSIZE, before)
    product.samples_after(time.time())
    assert wait_for(lambda: product.spooled()["samples"] == 0)
    product.check_samples()


def test_a_file_that_is_read_only_costs_no_sample(product, launcher):
    if launcher is None:
        pytest.skip("root may write each file, and setpriv cannot change that here")
    product.database.chmod(0o400)
    product.kill("sampler")  # who has opened it may go on writing
    try:
        assert wait_for(lambda: product.spooled()["samples"] >= 2, 60)
        assert product.spooled()["reason"].endswith("it is read-only")
    finally:
        product.database.chmod(0o600)
    product.samples_after(time.time())
    product.check_samples(restarts=1)


def test_a_file_that_is_replaced_while_it_is_used_is_followed(tmp_path, soak):
    """As somebody does who puts a backup back without stopping PerfWatch."""
    with installed(tmp_path, soak) as product:
        copy = product.database.with_name("backup.sqlite3")
        product.query(f"VACUUM INTO '{copy}'")
        for end in ("-wal", "-shm"):
            product.database.with_name(product.database.name + end).unlink()
        copy.rename(product.database)
        product.samples_after(time.time())
        assert wait_for(lambda: product.ready()["status"] == "ready")


def test_a_sampler_that_is_killed_at_any_time_doubles_nothing(product, soak):
    for age in ages(50 if soak else 1):
        product.kill("sampler", age)
    product.samples_after(time.time())
    product.check_samples(restarts=99)


def test_a_web_server_that_is_killed_is_there_again(product, soak):
    for _ in range(10 if soak else 1):
        before = web_process(product)
        product.kill("gunicorn")
        assert wait_for(lambda: web_process(product) not in (None, before), 60)  # noqa: B023
        assert wait_for(product.answers, 150)


def test_a_sampler_that_was_suspended_goes_on_and_is_not_ended(product, soak):
    sampler = product.processes()["sampler"]
    sampler.suspend()
    time.sleep(60 if soak else 7)
    sampler.resume()
    product.samples_after(time.time())
    assert product.processes()["sampler"].pid == sampler.pid
    product.check_samples(restarts=99)


def test_many_browsers_that_poll_are_all_answered(product, soak):
    get = product.browser()
    wrong = []

    def poll():
        for _ in range(20 if soak else 2):
            status, text = get("/live/?after=0")
            if status != 200:
                wrong.append((status, text))

    threads = [threading.Thread(target=poll) for _ in range(50 if soak else 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@contextmanager
def clients_of(product, count):
    address = ("127.0.0.1", int(product.url.rpartition(":")[2]))
    with ExitStack() as opened:
        yield [opened.enter_context(socket.create_connection(address)) for _ in range(count)]


def is_given_up(client):
    """Whether the server has closed the connection, after what it may have answered."""
    try:
        while client.recv(4096, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def test_slow_and_broken_clients_hold_nobody_up_for_long(product):
    begun = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCoo"
    with clients_of(product, 32) as clients:
        for number, client in enumerate(clients):
            client.sendall((begun, begun, b"", b"\x16\x03\x01 nonsense\r\n\r\n")[number % 4])
        for client in clients[::5]:
            client.close()
        del clients[::5]
        # Each of those that send too little holds one of eight threads for 5 s.
        assert wait_for(lambda: all(map(is_given_up, clients)), 100)
        assert product.answers()
    assert "Traceback" not in product.log


def test_clients_that_do_not_close_hold_nobody_up_for_long(product):
    with clients_of(product, 60) as clients:
        for client in clients:
            client.sendall(b"nonsense\r\n\r\n")
        # Each of eight threads waits for one at a time, for a second.
        assert wait_for(lambda: all(map(is_given_up, clients)), 40)
        assert wait_for(product.answers)
    assert "WORKER TIMEOUT" not in product.log


def test_clients_that_send_a_form_byte_by_byte_hold_nobody_up_for_long(product):
    form = (
        b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken=%s\r\nContent-Length: "
        b"99999\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n" % (b"x" * 32)
    )
    with clients_of(product, 5) as clients:
        for client in clients:
            client.sendall(form)

        def one_more_byte():
            for client in clients:
                with suppress(ConnectionError):
                    client.sendall(b"x")
            return all(map(is_given_up, clients))

        # Each of them holds a thread for 15 s; one process of four may have them all.
        assert wait_for(one_more_byte, 100)
        assert product.answers()
    assert "Traceback" not in product.log
