"""Who reaches which address, and what a session is worth."""

from urllib.parse import quote

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import URLResolver, get_resolver, resolve
from django.utils import timezone
from django.utils.regex_helper import normalize

from conftest import PASSWORD

OPEN_TO_ALL = {"/login/", "/healthz", "/readyz"}
BY_POST_ONLY = {"/logout/", "/admin/logout/"}
# What stands in the place of an address's parameters: the first that resolves is taken.
STAND_INS = ("1", "metrics", "anything/")
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
]


def addresses(resolver, prefix="/"):
    """Each address of the URL configuration, with parameters filled in."""
    for entry in resolver.url_patterns:
        shape, names = normalize(entry.pattern.regex.pattern)[0]
        if isinstance(entry, URLResolver):
            assert not names
            yield from addresses(entry, prefix + shape)
            continue
        found = (prefix + shape % dict.fromkeys(names, word) for word in STAND_INS)
        yield next(path for path in found if resolves_to(path, entry.callback))


def resolves_to(path, view):
    try:
        return resolve(path).func == view
    except LookupError:
        return False


def every_address():
    return list(addresses(get_resolver()))


def login(client, next_page="", **more):
    form = {"username": "viewer", "password": PASSWORD, "next": next_page}
    return client.post("/login/", form, **more)


def turned_away(path):
    """Status and Location: people are sent to the login page, programs are told."""
    return (401, None) if path.startswith("/api/") else (302, f"/login/?next={quote(path)}")


def nobodies_answers(client, paths, method):
    return {
        path: (answer.status_code, answer.get("Location"))
        for path in paths
        for answer in [client.generic(method, path)]
    }


# --- Nobody ---------------------------------------------------------------------------------


def test_the_walk_finds_pages_fragments_and_administration():
    paths = set(every_address())
    assert {"/", "/live/", "/account/", "/login/", "/logout/", "/healthz", "/readyz"} <= paths
    assert {"/account/tokens/", "/account/tokens/1/revoke/"} <= paths
    assert {"/admin/", "/admin/accounts/user/1/change/", "/admin/metrics/config/add/"} <= paths


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_strangers_are_turned_away_from_every_other_address(client, db, method):
    paths = set(every_address()) - OPEN_TO_ALL - BY_POST_ONLY
    assert nobodies_answers(client, paths, method) == {path: turned_away(path) for path in paths}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_changes_anything(client, db, method):
    paths = set(every_address()) - OPEN_TO_ALL - BY_POST_ONLY
    assert nobodies_answers(client, paths, method) == {path: turned_away(path) for path in paths}


@pytest.mark.parametrize("path", sorted(BY_POST_ONLY))
def test_nobody_who_logs_out_ends_at_the_login_page(client, db, path):
    last, status = client.post(path, follow=True).redirect_chain[-1]
    assert status == 302
    assert last in {"/login/", "/login/?next=/admin/"}


def test_an_administrator_comes_to_the_administration_by_way_of_the_login(client, administrator):
    where = client.get("/admin/", follow=True).redirect_chain[-1][0]
    form = {"username": "boss", "password": PASSWORD, "next": where.partition("next=")[2]}
    assert client.post("/login/", form, follow=True).status_code == 200


@pytest.mark.parametrize("path", ["/login/", "/healthz"])
def test_login_and_health_answer_nobody(client, path):
    assert client.get(path).status_code == 200


def test_the_page_and_its_query_come_back_after_the_login(client, viewer):
    where = client.get("/?from=now-6h&to=now")["Location"]
    assert where == "/login/?next=/%3Ffrom%3Dnow-6h%26to%3Dnow"
    form = client.get(where)
    assert login(client, form.context["next"])["Location"] == "/?from=now-6h&to=now"


@pytest.mark.parametrize(
    ("current", "back"),
    [
        ("http://testserver/?from=now-6h", "/%3Ffrom%3Dnow-6h"),
        ("http://testserver/account/", "/account/"),
        ("https://evil.example/trap", "/"),
        ("nonsense", "/"),
    ],
)
def test_a_fragment_sends_the_whole_page_to_the_login_and_back(client, db, current, back):
    headers = {"HX-Request": "true", "HX-Current-URL": current}
    answer = client.get("/live/?after=1", headers=headers)
    assert answer["HX-Redirect"] == f"/login/?next={back}"
    assert "Location" not in answer


# --- Viewers and administrators -------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/", "/admin/accounts/user/", "/admin/metrics/config/"])
def test_a_viewer_may_not_open_the_administration(viewer_client, path):
    answer = viewer_client.get(path, follow=True)
    assert answer.status_code == 403
    assert "Only administrators may open the administration pages." in answer.text


def test_the_login_page_of_the_administration_leads_administrators_on(administrator_client):
    assert administrator_client.get("/admin/login/")["Location"] == "/admin/"


def test_the_administration_logs_out_to_the_login_page(administrator_client):
    assert administrator_client.post("/admin/logout/")["Location"] == "/login/"
    assert administrator_client.get("/").status_code == 302


# --- The session ----------------------------------------------------------------------------


def test_an_expired_session_is_nobodys(viewer_client):
    assert viewer_client.get("/").status_code == 200
    Session.objects.update(expire_date=timezone.now())
    assert viewer_client.get("/")["Location"] == "/login/?next=/"


def test_a_deactivated_person_is_nobody_at_once(viewer_client, viewer):
    type(viewer).objects.update(is_active=False)
    assert viewer_client.get("/").status_code == 302


def test_a_poll_neither_prolongs_nor_writes_the_session(viewer_client, django_assert_num_queries):
    before = Session.objects.get().expire_date
    with django_assert_num_queries(3) as queries:  # session, user, snapshots
        answer = viewer_client.get("/live/?after=0")
    assert viewer_client.session.session_key not in answer.cookies
    assert Session.objects.get().expire_date == before
    assert all(query["sql"].startswith("SELECT") for query in queries.captured_queries)


def test_logging_in_changes_the_session_key(client, viewer):
    session = client.session
    session["visited"] = True
    session.save()
    login(client)
    assert client.session.session_key != session.session_key
    assert not Session.objects.filter(session_key=session.session_key).exists()


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(client, viewer, settings):
    cookie = login(client).cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/"
    assert cookie["domain"] == ""


def test_logging_out_ends_the_session(viewer_client):
    assert viewer_client.post("/logout/")["Location"] == "/login/"
    assert not Session.objects.exists()


@pytest.mark.parametrize("path", sorted(BY_POST_ONLY))
def test_a_link_does_not_log_out(administrator_client, path):
    assert administrator_client.get(path).status_code == 405
    assert administrator_client.get("/").status_code == 200


def test_logging_in_leads_to_no_other_site(client, viewer):
    assert login(client, "https://evil.example/")["Location"] == "/"


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_no_address_of_the_login_page_leads_to_another_site(viewer_client, elsewhere):
    answer = viewer_client.get("/login/", {"next": elsewhere})
    assert (answer.status_code, answer["Location"]) == (302, "/")


# --- Forms of other sites -------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/login/", "/logout/", "/account/"])
def test_a_form_without_our_token_is_refused_with_a_sentence(db, path):
    answer = Client(enforce_csrf_checks=True).post(path)
    assert answer.status_code == 403
    assert "The form was not accepted" in answer.text
    assert "reload the page and try again" in answer.text


def test_a_form_with_our_token_is_accepted(viewer, settings):
    client = Client(enforce_csrf_checks=True)
    client.get("/login/")
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    assert login(client, headers={"X-CSRFToken": token}).status_code == 302
