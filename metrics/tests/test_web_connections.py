"""The connections of the pages to PostgreSQL: bounded in time, kept, and replaced when lost."""

import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from perfwatch_site import databases
from perfwatch_site.tests.workplace import free_port, port_answers, wait_for
from perfwatch_site.urls import handler500  # noqa: F401

SHOW = """
import {module}
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    print(cursor.fetchone()[0])
"""
END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = 'perfwatch' AND pid <> pg_backend_pid()
"""


@login_not_required
def sleeping(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    return HttpResponse()


urlpatterns = [path("sleeping", sleeping)]


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has neither connections to lose nor a limit for statements")


@pytest.mark.parametrize(
    ("module", "limit"), [("perfwatch_site.wsgi", "20s"), ("perfwatch_site.celery", "0")]
)
def test_only_statements_of_the_pages_are_limited(postgresql, processes, module, limit):
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(module=module)],
        env=processes.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == limit


@pytest.mark.urls(__name__)
@pytest.mark.django_db(transaction=True)
def test_a_page_that_takes_too_long_is_ended_and_says_so(postgresql, monkeypatch):
    monkeypatch.setattr(databases, "WEB_STATEMENT_SECONDS", 1)
    databases._limit(connection)
    try:
        answer = Client(raise_request_exception=False).get("/sleeping")
    finally:
        connection.close()  # the next test gets a connection without the limit
    assert answer.status_code == 503
    assert "The database took too long over this." in answer.content.decode()


def test_connections_are_kept_and_lost_ones_are_replaced_unseen(postgresql, processes):
    port = free_port()
    processes.environment["PERFWATCH_PORT"] = str(port)
    processes.start("manage.py", "serve", "--only", "web")
    assert wait_for(lambda: port_answers(port))

    def reason():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    assert wait_for(lambda: "no sample yet" in reason()), reason()
    for _ in range(8):
        reason()
    with connection.cursor() as cursor:
        cursor.execute(END_OTHERS)
        kept = cursor.fetchone()[0]
    # Two processes of four threads; a connection for each request would have left none.
    assert 1 <= kept <= 8
    for _ in range(8):
        assert "no sample yet" in reason()
