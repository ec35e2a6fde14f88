"""The pages for requests that cannot be answered, and what the log says of them."""

import logging

import pytest
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError, ProgrammingError
from django.test import Client
from django.urls import path

from perfwatch_site.logs import LineFormatter
from perfwatch_site.urls import handler400, handler403, handler404, handler500  # noqa: F401

SECRET = "hunter2"
RAISED = {
    "bad": BadRequest("The parameter from is wrong: <yesterday>."),
    "bad-without-words": BadRequest(),
    "suspicious": SuspiciousOperation(SECRET),
    "forbidden": PermissionDenied("Only administrators may do this."),
    "forbidden-without-words": PermissionDenied(),
    "away": OperationalError(f"connection refused {SECRET}\nIs the server running?"),
    "closed": InterfaceError("connection already closed"),
    "wrong-sql": ProgrammingError(SECRET),
    "broken": RuntimeError(f"first line {SECRET}\nsecond line"),
}


@login_not_required
def raising(request, name):
    raise RAISED[name]


urlpatterns = [path("<name>", raising), path("api/<name>", raising)]
pytestmark = pytest.mark.urls(__name__)
# No test here may touch the database: pytest-django would fail it.


@pytest.fixture
def browser(settings):
    browser = Client(raise_request_exception=False)
    browser.cookies[settings.SESSION_COOKIE_NAME] = "of-somebody"
    return browser


@pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("/bad", 400, "The parameter from is wrong: &lt;yesterday&gt;."),
        ("/bad-without-words", 400, "The request is malformed."),
        ("/suspicious", 400, "The request is malformed."),
        ("/forbidden", 403, "Only administrators may do this."),
        ("/forbidden-without-words", 403, "You may not do this."),
        ("/no/such/page", 404, "There is nothing at this address."),
        ("/away", 503, "The database does not answer. Samples are kept until it does."),
        ("/closed", 503, "The database does not answer. Samples are kept until it does."),
        ("/wrong-sql", 500, "The cause is in the log. Samples go on being taken."),
        ("/broken", 500, "The cause is in the log. Samples go on being taken."),
    ],
)
def test_an_error_is_a_page_with_a_sentence(browser, address, status, sentence):
    answer = browser.get(address)
    assert answer.status_code == status
    assert sentence in answer.text
    assert "To the live page" in answer.text
    assert "Traceback" not in answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("/api/no/such/page", 404, "There is nothing at this address."),
        ("/api/broken", 500, "The cause is in the log. Samples go on being taken."),
    ],
)
def test_below_api_an_error_is_json_with_a_sentence(browser, address, status, sentence):
    answer = browser.get(address)
    assert answer.status_code == status
    assert answer.json() == {"error": sentence}


def test_a_host_that_is_not_ours_gets_a_sentence_without_a_page(browser):
    answer = browser.get("/bad", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "This host name is not in ALLOWED_HOSTS. Add it there and restart PerfWatch."
    )


def lines(caplog):
    formatter = LineFormatter("{levelname} {name}: {message}", style="{")
    return [formatter.format(record) for record in caplog.records]


def test_a_fault_of_ours_is_one_line_in_the_log_that_says_where(browser, caplog):
    browser.get("/broken")
    (line,) = lines(caplog)
    assert line.startswith("ERROR django.request: Internal Server Error: /broken [RuntimeError: ")
    assert "test_errors.py:" in line
    assert "in raising]" in line
    assert "\n" not in line


def test_a_database_that_is_away_is_one_line_in_the_log(browser, caplog):
    browser.get("/away")
    (line,) = lines(caplog)
    assert "/away [OperationalError: connection refused" in line
    assert "\n" not in line


@pytest.mark.parametrize("address", ["/bad", "/forbidden", "/no/such/page"])
def test_what_a_person_asks_wrongly_is_not_logged(browser, caplog, address):
    browser.get(address)
    assert lines(caplog) == []


def test_a_host_that_is_not_ours_is_not_logged(browser, caplog):
    browser.get("/bad", headers={"Host": "evil.example"})
    assert lines(caplog) == []


def test_an_attack_is_one_line_in_the_log(browser, caplog):
    browser.get("/suspicious")
    (line,) = lines(caplog)
    assert "\n" not in line


@pytest.mark.parametrize("character", ["\n", "\r", "\r\n", "\x1b[2J", "\x85", "\u2028", "\0"])
def test_a_stranger_cannot_begin_a_line_or_move_the_cursor(character):
    record = logging.makeLogRecord({"msg": "login of %s", "args": (f"a{character}b",)})
    line = LineFormatter("{message}", style="{").format(record)
    assert line.startswith("login of a ")
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_the_log_of_this_process_is_written_line_by_line(settings):
    assert settings.LOGGING["handlers"]["stderr"]["formatter"] == "line"
    assert settings.LOGGING["formatters"]["line"]["()"] == "perfwatch_site.logs.LineFormatter"
