"""What browsers are told to refuse, on plain HTTP and under an https:// address."""

import re

import pytest
from django.conf import settings as project
from django.test import Client

from conftest import PASSWORD

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ANSWERS_TO_NOBODY = {
    "/": 302,
    "/admin/": 302,
    "/login/": 200,
    "/healthz": 200,
    "/readyz": 503,
    "/logout/": 405,
    "/no-such-page": 404,
}
ANSWERS_TO_ADMINISTRATORS = {
    "/": 200,
    "/account/": 200,
    "/live/?after=x": 400,
    "/admin/": 200,
    "/admin/accounts/user/": 200,
    "/admin/accounts/user/add/": 200,
    "/admin/metrics/config/": 200,
    "/admin/metrics/config/add/": 200,
    "/admin/metrics/metricssnapshot/": 200,
    "/admin/metrics/rollup/": 200,
}
# JSON is data: the policy lets it stand.
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\b(src=|type=\"application/json\"))", re.IGNORECASE)
INLINE_STYLE = re.compile(r"<style\b|<[^>]*\sstyle\s*=", re.IGNORECASE)
INLINE_HANDLER = re.compile(r"<[^>]*\s(on[a-z]+|hx-on[:a-z-]*)\s*=|javascript:", re.IGNORECASE)
TEMPLATES = sorted((project.BASE_DIR / "templates").rglob("*.html"))
APPLIED = re.compile(r"SECURE_|SESSION_COOKIE_|CSRF_|PERFWATCH_|ALLOWED_HOSTS")


def policy(answer):
    found = answer["Content-Security-Policy"]
    return dict(directive.strip().split(" ", 1) for directive in found.split(";"))


def assert_guarded(answer):
    assert policy(answer)["default-src"] == "'none'"
    assert {name: answer[name] for name in HEADERS} == HEADERS
    assert answer["X-Frame-Options"] == "DENY"


def assert_nothing_inline(text):
    for pattern in (INLINE_SCRIPT, INLINE_STYLE, INLINE_HANDLER):
        assert not pattern.search(text), pattern.search(text)


@pytest.fixture
def https(settings, read_settings):
    """This process as if it were started with an https:// address behind a proxy."""
    found = read_settings(
        PERFWATCH_BASE_URL="https://perf.example.org", PERFWATCH_TRUSTED_PROXIES="10.0.0.1"
    )
    for name, value in found.items():
        if APPLIED.match(name):
            setattr(settings, name, value)


def behind_proxy(client, path, scheme="https"):
    headers = {"Host": "perf.example.org", "X-Forwarded-Proto": scheme}
    return client.get(path, headers=headers, REMOTE_ADDR="10.0.0.1")


# --- On each answer -------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), ANSWERS_TO_NOBODY.items())
def test_what_nobody_gets_is_guarded(client, db, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert_guarded(answer)


@pytest.mark.parametrize(("path", "status"), ANSWERS_TO_ADMINISTRATORS.items())
def test_what_administrators_get_is_guarded(administrator_client, path, status):
    answer = administrator_client.get(path)
    assert answer.status_code == status
    assert_guarded(answer)


def test_the_page_that_refuses_a_viewer_is_guarded(viewer_client):
    assert_guarded(viewer_client.get("/admin/login/"))


def test_a_wrong_host_gets_a_policy_too(client):
    answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert policy(answer)["frame-ancestors"] == "'none'"


def test_the_policy_allows_nothing_inline_and_no_other_site(client):
    found = policy(client.get("/login/"))
    assert not any("unsafe" in value for value in found.values())
    assert {name: value for name, value in found.items() if value != "'self'"} == {
        "default-src": "'none'",
        "img-src": "'self' data:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }


def test_static_files_are_not_sniffed(settings, tmp_path):
    (tmp_path / "some.css").write_text("body {}")
    settings.STATIC_ROOT = tmp_path
    answer = Client().get("/static/some.css")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/css")
    assert {name: answer[name] for name in HEADERS} == HEADERS


# --- Under https:// -------------------------------------------------------------------------


def test_the_deployment_check_is_clean_under_an_https_address(manage):
    done = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        PERFWATCH_BASE_URL="https://perf.example.org",
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_http_is_redirected_to_the_https_address(https):
    answer = behind_proxy(Client(), "/login/?next=/account/", "http")
    assert answer.status_code == 301
    assert answer["Location"] == "https://perf.example.org/login/?next=/account/"


def test_a_stranger_who_claims_https_is_redirected_too(https):
    headers = {"Host": "perf.example.org", "X-Forwarded-Proto": "https"}
    answer = Client().get("/login/", headers=headers, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 301


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/readyz", 503)])
def test_health_answers_without_https(https, db, path, status):
    assert Client().get(path, headers={"Host": "127.0.0.1:8000"}).status_code == status


def test_browsers_are_told_to_stay_with_https(https):
    answer = behind_proxy(Client(), "/login/")
    assert answer.status_code == 200
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_cookies_are_secure_and_bound_to_the_host(https, viewer):
    client = Client()
    behind_proxy(client, "/login/")
    client.post(
        "/login/",
        {"username": "viewer", "password": PASSWORD},
        headers={"Host": "perf.example.org", "X-Forwarded-Proto": "https"},
        REMOTE_ADDR="10.0.0.1",
    )
    for name in ("__Host-perfwatch-csrf", "__Host-perfwatch"):
        cookie = client.cookies[name]
        assert cookie["secure"]
        assert cookie["httponly"]
        assert (cookie["path"], cookie["domain"]) == ("/", "")


def test_plain_http_keeps_no_browser_away_from_http(client):
    assert "Strict-Transport-Security" not in client.get("/login/")


# --- Nothing inline -------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_inline_script_style_or_handler(path):
    assert_nothing_inline(path.read_text())


@pytest.mark.parametrize(
    "path", [p for p, status in ANSWERS_TO_ADMINISTRATORS.items() if status == 200]
)
def test_a_page_holds_nothing_that_its_policy_forbids(administrator_client, path):
    assert_nothing_inline(administrator_client.get(path).text)
