"""The example of docs/deploy for nginx, run as it stands but for addresses and certificates."""

import http.client
import re
import shutil
import ssl
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.db import connection

from metrics.importing.uploads import MOST_BYTES
from metrics.tests.processes import ROOT
from perfwatch_site.tests.product import PASSWORD, USERNAME, Product
from perfwatch_site.tests.servers import missing
from perfwatch_site.tests.tls_servers import Certificates
from perfwatch_site.tests.workplace import (
    free_port,
    port_answers,
    start_server,
    stop_server,
    wait_for,
)

CLIENT = "127.0.0.2"  # another address than the proxy's, which is the one that is trusted


def wrapped(folder, site):
    """A whole configuration around one site, with nothing outside of `folder`."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary} include {site}; }}\n"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if connection.vendor != "sqlite":
        pytest.skip("the proxy does not see the database: tested by the run on SQLite")
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if not program:
        missing("no nginx here (Debian: nginx)")
    folder = tmp_path_factory.mktemp("nginx")
    certificates = Certificates(folder)
    plain, port = free_port(), free_port()
    product = Product(tmp_path_factory.mktemp("behind"))
    product.environment["PERFWATCH_BASE_URL"] = f"https://127.0.0.1:{port}"
    product.environment["PERFWATCH_TRUSTED_PROXIES"] = "127.0.0.1"
    text = (ROOT / "docs/deploy/nginx.conf").read_text()
    for wanted, used in (
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("/etc/letsencrypt/live/perfwatch.example.org/fullchain.pem", certificates.certificate),
        ("/etc/letsencrypt/live/perfwatch.example.org/privkey.pem", certificates.key),
        ("http://127.0.0.1:8000", product.url),
    ):
        assert wanted in text
        text = text.replace(wanted, str(used))
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(wrapped(folder, folder / "site.conf"))
    product.start()
    try:
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        proxy = start_server(command, log=folder / "log")
        assert wait_for(lambda: port_answers(port)), (folder / "log").read_text()
        context = ssl.create_default_context(cafile=str(certificates.ca))
        yield SimpleNamespace(port=port, plain=plain, context=context, product=product)
        stop_server(proxy)
    finally:
        product.stop()


def asked(site, path, form=None, cookies=None, **headers):
    """The answer that a browser at another address gets by TLS, and its text."""
    browser = http.client.HTTPSConnection(
        "127.0.0.1", site.port, context=site.context, source_address=(CLIENT, 0), timeout=20
    )
    headers |= {"Cookie": "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())}
    if form:
        headers |= {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"https://127.0.0.1:{site.port}",
        }
    browser.request("POST" if form else "GET", path, urlencode(form or {}), headers)
    answer = browser.getresponse()
    return answer, answer.read().decode()


def log_in(site, password, **headers):
    answer, page = asked(site, "/login/")
    cookies = set_cookies(answer)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = {"username": USERNAME, "password": password, "csrfmiddlewaretoken": token}
    return asked(site, "/login/", form, cookies, **headers)


def set_cookies(answer):
    lines = answer.headers.get_all("Set-Cookie") or []
    return dict(line.partition(";")[0].split("=", 1) for line in lines)


def test_people_log_in_through_it_and_cookies_go_by_tls_only(site):
    answer, page = log_in(site, PASSWORD)
    assert answer.status == 302, page
    lines = answer.headers.get_all("Set-Cookie")
    assert lines
    assert all("Secure" in line and line.startswith("__Host-") for line in lines)
    assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]
    answer, page = asked(site, "/", cookies=set_cookies(answer))
    assert answer.status == 200
    assert "Log out" in page


def test_files_that_perfwatch_would_take_pass_through_it(site):
    browser = http.client.HTTPSConnection("127.0.0.1", site.port, context=site.context, timeout=20)
    headers = {"Origin": f"https://127.0.0.1:{site.port}", "Content-Length": MOST_BYTES + 4_096}
    browser.request("POST", "/settings/import/", None, headers | {"Expect": "100-continue"})
    with browser.sock.makefile("rb") as answer:  # asked for the rest, not refused
        assert answer.readline() == b"HTTP/1.1 100 Continue\r\n"
    browser.close()


def test_who_comes_without_tls_is_sent_to_it(site):
    browser = http.client.HTTPConnection("127.0.0.1", site.plain, timeout=20)
    browser.request("GET", "/history/?from=now-6h")
    answer = browser.getresponse()
    assert answer.status == 301
    assert answer.headers["Location"].startswith("https://127.0.0.1")
    assert answer.headers["Location"].endswith("/history/?from=now-6h")


def test_the_client_is_who_the_proxy_says_not_who_it_claims_to_be(site):
    answer, _ = log_in(site, "wrong password", **{"X-Forwarded-For": "198.51.100.9"})
    assert answer.status == 200
    rows = site.product.query("SELECT ip_address FROM axes_accessattempt")
    assert rows == [(CLIENT,)]


def test_who_does_not_come_through_the_proxy_is_redirected_to_it(site):
    browser = http.client.HTTPConnection(
        "127.0.0.1", int(site.product.url.rpartition(":")[2]), source_address=(CLIENT, 0)
    )
    browser.request("GET", "/login/", headers={"X-Forwarded-Proto": "https"})
    answer = browser.getresponse()
    assert answer.status == 301
    assert answer.headers["Location"] == f"https://127.0.0.1:{site.port}/login/"
