import os
import resource
import signal
import socket
import subprocess
import sys

import pytest
from django.db import DataError, OperationalError, connection
from django.db.backends.signals import connection_created

from metrics import lock
from perfwatch_site.tests.workplace import wait_for


def test_the_second_sampler_is_told_who_holds_the_lock(tmp_path):
    path = tmp_path / "sampler.lock"
    with lock.lock_file(path), pytest.raises(lock.Held, match=r"process \d+, since 20"):
        lock.lock_file(path)


def test_the_lock_is_free_when_its_holder_is_killed(tmp_path):
    path = tmp_path / "sampler.lock"
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, 2); print(); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    holder.stdout.readline()
    with pytest.raises(lock.Held, match="another process"):
        lock.lock_file(path)
    holder.kill()
    holder.communicate()
    with lock.lock_file(path) as file:
        assert file.name == str(path)


def test_a_disk_that_is_full_has_room_for_the_lock(tmp_path):
    """The limit on the size of files stands for the disk."""
    path = tmp_path / "sampler.lock"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        file = lock.lock_file(path)
        with pytest.raises(lock.Held, match="another process"):
            lock.lock_file(path)
        file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.django_db(transaction=True)
class TestOnPostgreSQL:
    @pytest.fixture(autouse=True)
    def only_there(self):
        if connection.vendor != "postgresql":
            pytest.skip("advisory locks are PostgreSQL's")
        yield
        connection_created.disconnect(dispatch_uid="perfwatch.sampler.lock")
        connection.close()

    @pytest.fixture
    def other_sampler(self):
        """Another process that samples host-1 into the same database."""
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SET application_name = 'perfwatch-sampler web-02 pid 7'")
            key = [lock.NAMESPACE, lock.advisory_key("host-1")]
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
        yield other
        other.close()

    def test_a_second_sampler_of_the_host_is_refused_and_told_who_writes(self, other_sampler):
        with pytest.raises(lock.Held, match="perfwatch-sampler web-02 pid 7"):
            lock.lock_database("host-1")

    def test_a_sampler_of_another_host_may_write_to_the_same_database(self, other_sampler):
        lock.lock_database("host-2")
        with connection.cursor() as cursor:
            cursor.execute("SHOW application_name")
            assert cursor.fetchone()[0].startswith("perfwatch-sampler")

    def test_the_lock_is_free_when_the_other_session_ends(self, other_sampler):
        other_sampler.close()
        lock.lock_database("host-1")

    def test_an_own_connection_that_got_lost_is_ended_before_anything_is_written(self, monkeypatch):
        monkeypatch.setattr(lock.secrets, "token_hex", lambda size: "00000001")
        name = f"perfwatch-sampler 00000001 pid {os.getpid()} on {socket.gethostname()}"[:63]
        lost = connection.copy()
        with lost.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [name])
            key = [lock.NAMESPACE, lock.advisory_key("host-1")]
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", key)
        with pytest.raises(OperationalError):
            lock.lock_database("host-1")
        assert wait_for(self.can_connect)
        with pytest.raises(OperationalError), lost.cursor() as cursor:
            cursor.execute("SELECT 1")
        lost.close()

    def can_connect(self):
        try:
            connection.ensure_connection()
        except OperationalError:
            return False
        return True

    def test_two_processes_never_have_the_same_name(self):
        names = set()
        for _ in range(2):
            lock.lock_database("host-1")
            with connection.cursor() as cursor:
                cursor.execute("SHOW application_name")
                names.add(cursor.fetchone()[0])
            connection_created.disconnect(dispatch_uid="perfwatch.sampler.lock")
            connection.close()
        assert len(names) == 2

    def test_the_lock_is_taken_again_with_a_new_connection(self):
        lock.lock_database("host-1")
        connection.close()
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert cursor.fetchone() == (1,)

    def test_a_connection_that_did_not_get_as_far_as_the_lock_is_not_used(self, monkeypatch):
        with monkeypatch.context() as context:
            context.setattr(lock, "KEEPALIVES", [("statement_timeout", "no time")])
            with pytest.raises(DataError):
                lock.lock_database("host-1")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert cursor.fetchone() == (1,)
