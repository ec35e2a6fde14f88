"""Fixtures of the tests of metrics."""

import pytest
from django.db import connection

from metrics.tests.processes import Processes, set_interval


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
