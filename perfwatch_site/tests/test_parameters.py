"""Every page refuses parameters that it does not know, in a sentence."""

import html

import pytest

from perfwatch_site.tests.test_access import every_address

# Probes and links to the login page may say more than is asked.
TAKE_ANY = {"/login/", "/healthz", "/readyz"}
BY_POST_ONLY = {
    "/logout/",
    "/account/tokens/",
    "/account/tokens/1/revoke/",
    "/settings/import/step/",
    "/settings/import/remove/",
}
PAGES = [
    path
    for path in every_address()
    if path not in TAKE_ANY | BY_POST_ONLY and not path.startswith("/admin/")
]


def refusal(client, path, asked):
    response = client.get(path, asked)
    assert response.status_code == 400
    return html.unescape(response.text)


@pytest.mark.parametrize("path", PAGES)
def test_a_parameter_that_no_page_has_is_refused(administrator_client, path):
    assert "There is no parameter 'colour'." in refusal(administrator_client, path, {"colour": "x"})


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/", "range", "5m"),
        ("/live/", "after", "1"),
        ("/history/", "from", "now-1h"),
        ("/history/moment/", "step", "60"),
        ("/settings/", "interval_seconds", "5"),
        ("/settings/import/", "list", "all"),
        ("/api/series/", "points", "5"),
    ],
)
def test_a_parameter_that_is_given_twice_is_refused(administrator_client, path, name, value):
    text = refusal(administrator_client, path, {name: [value, value]})
    assert f"The parameter {name} is wrong: It is given more than once." in text


@pytest.mark.parametrize("path", sorted(TAKE_ANY))
def test_others_take_any(client, db, path):
    assert client.get(path, {"colour": "x"}).status_code in (200, 503)
