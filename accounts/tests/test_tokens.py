"""Personal API tokens: on the account page, and at the door of the API."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import Token, User
from conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.urls("accounts.tests.api_urls")]

WHO = "/api/who/"
STRANGER = Client()  # one for all: making a client loads all middleware
UNKNOWN = "This API token is unknown, revoked, or of somebody who may not log in."


@pytest.fixture(autouse=True)
def no_failures_of_other_tests():
    cache.clear()


@pytest.fixture
def secret(viewer):
    return tokens.issue(viewer, "grafana")


def ask(secret, method="GET", path=WHO, client=STRANGER, scheme="Bearer", **more):
    return client.generic(method, path, headers={"Authorization": f"{scheme} {secret}"}, **more)


def create(client, name="grafana"):
    return client.post("/account/tokens/", {"name": name})


def used(ago):
    Token.objects.update(last_used=timezone.now() - ago)
    return Token.objects.get().last_used


# --- At the door of the API -----------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_makes_the_request_its_owners(secret, scheme):
    assert ask(secret, scheme=scheme).json() == {"user": "viewer"}


def test_head_is_reading_too(secret):
    assert ask(secret, "HEAD").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_token_can_only_read(secret, method):
    answer = ask(secret, method)
    assert (answer.status_code, answer.json()) == (403, {"error": "An API token can only read."})
    assert 'error="insufficient_scope"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/other/who/", "/account/", "/", "/admin/", "/apiwho/", "/API/"])
def test_a_token_opens_nothing_but_the_api(secret, path):
    answer = ask(secret, path=path)
    assert answer.status_code in (302, 404)
    assert "viewer" not in answer.text


def test_a_token_opens_no_session_and_sets_no_cookie(secret, django_assert_num_queries):
    used(timedelta(0))
    with django_assert_num_queries(1):
        answer = ask(secret)
    assert not answer.cookies and not STRANGER.cookies
    assert STRANGER.get(WHO).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "perfwatch_",
        tokens.PREFIX + "A" * 43,
        tokens.PREFIX + "A" * 100_000,
        "perfwatch_' OR 1=1 --",
        "two words",
        "\x00",
        "ü",
    ],
)
def test_a_wrong_token_gets_a_sentence_and_a_challenge(viewer, secret, wrong):
    answer = ask(wrong)
    assert (answer.status_code, answer.json()) == (401, {"error": UNKNOWN})
    assert answer["WWW-Authenticate"] == 'Bearer realm="PerfWatch", error="invalid_token"'
    assert not answer.cookies


@pytest.mark.parametrize("change", [str.upper, lambda text: text[:-1], lambda text: text + "A"])
def test_a_token_that_is_nearly_right_is_wrong(secret, change):
    assert ask(change(secret)).status_code == 401


def test_what_is_stored_is_no_token(secret):
    assert ask(Token.objects.get().secret_hash).status_code == 401


def test_a_wrong_token_is_refused_although_one_is_logged_in(viewer_client):
    assert ask("perfwatch_wrong", client=viewer_client).status_code == 401


def test_a_proxys_own_authorization_leaves_the_session_in_force(viewer_client):
    assert ask("dmlld2VyOng=", client=viewer_client, scheme="Basic").json() == {"user": "viewer"}


def test_without_login_or_token_the_api_says_what_is_missing():
    for method in ("GET", "HEAD", "POST"):
        answer = STRANGER.generic(method, WHO)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Bearer realm="PerfWatch"')
        assert "Location" not in answer
    assert STRANGER.get(WHO).json()["error"].startswith("Log in, or send an API token")
    fragment = STRANGER.get(WHO, headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment.get("HX-Redirect")) == (401, None)


def test_the_api_takes_the_session_too(viewer_client):
    assert viewer_client.get(WHO).json() == {"user": "viewer"}


def test_a_deactivated_persons_token_opens_nothing_until_they_are_back(viewer, secret):
    User.objects.update(is_active=False)
    assert ask(secret).json() == {"error": UNKNOWN}
    User.objects.update(is_active=True)
    assert ask(secret).status_code == 200


def test_a_deleted_persons_tokens_go_with_them(viewer, secret, administrator_client):
    answer = administrator_client.post(f"/admin/accounts/user/{viewer.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302
    assert not Token.objects.exists()
    assert ask(secret).status_code == 401


def test_a_new_password_leaves_the_tokens(viewer_client, secret):
    new = "another long sentence"
    fields = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert viewer_client.post("/account/", fields).status_code == 302
    assert ask(secret).status_code == 200
    assert "A new password leaves your tokens as they are" in viewer_client.get("/account/").text


# --- Last use -------------------------------------------------------------------------------


def test_the_first_use_is_noted(secret):
    ask(secret)
    assert timezone.now() - Token.objects.get().last_used < timedelta(minutes=1)


@pytest.mark.parametrize(("seconds", "written"), [(30, False), (61, True), (-3600, True)])
def test_use_is_written_at_most_once_a_minute(secret, seconds, written):
    before = used(timedelta(seconds=seconds))
    ask(secret)
    assert (Token.objects.get().last_used != before) is written


def test_a_refused_request_is_no_use(secret):
    ask(secret, "POST")
    assert Token.objects.get().last_used is None


def test_a_database_that_only_reads_answers_all_the_same(secret):
    def refuse(execute, sql, *arguments):
        if sql.startswith("UPDATE"):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse):
        assert ask(secret).status_code == 200


# --- Too many wrong tokens ------------------------------------------------------------------


def test_many_wrong_tokens_are_told_to_wait_and_logged_once_without_the_token(secret, caplog):
    wrong = tokens.PREFIX + "B" * 43
    codes = [ask(wrong).status_code for _ in range(tokens.FAILURES_PER_MINUTE - 1)]
    answer = ask(wrong)
    assert ({*codes}, answer.status_code, answer["Retry-After"]) == ({401}, 429, "60")
    assert ask(wrong).status_code == 429
    (record,) = caplog.records
    assert record.getMessage() == "20 API tokens from 127.0.0.1 were refused within a minute."


def test_good_tokens_and_other_addresses_do_not_suffer_for_wrong_ones(secret):
    for _ in range(tokens.FAILURES_PER_MINUTE):
        ask("wrong")
    assert ask(secret).status_code == 200
    assert ask("wrong", REMOTE_ADDR="192.0.2.7").status_code == 401


def test_what_has_no_form_of_a_token_asks_the_database_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        ask("perfwatch_short")


# --- On the account page --------------------------------------------------------------------


def test_a_token_is_shown_once_and_stored_as_a_hash(viewer_client, viewer):
    answer = create(viewer_client)
    secret = answer.context["secret"]
    assert f'<code class="secret">{secret}</code>' in answer.text
    assert "no-store" in answer["Cache-Control"]
    assert ask(secret).json() == {"user": "viewer"}
    assert secret not in viewer_client.get("/account/").text
    stored = Token.objects.values().get()
    assert secret not in map(str, stored.values())
    assert (stored["secret_hash"], len(secret)) == (tokens.hashed(secret), 53)


def test_the_answer_is_opened_at_the_new_token_and_not_at_the_password(viewer_client):
    page = viewer_client.get("/account/").text
    assert 'action="/account/tokens/#tokens"' in page
    assert "autofocus" not in page


def test_two_tokens_are_two_secrets(viewer_client):
    first, second = (create(viewer_client, name).context["secret"] for name in ("a", "b"))
    assert first != second


def test_the_page_lists_name_creation_and_last_use(viewer_client, viewer):
    assert "You have none." in viewer_client.get("/account/").text
    tokens.issue(viewer, "backup script")
    assert "never used." in viewer_client.get("/account/").text
    moment = used(timedelta(days=3))
    page = viewer_client.get("/account/").text
    assert "<strong>backup script</strong>" in page
    assert f"last used {moment:%Y-%m-%d %H:%M} UTC." in page


def test_a_revoked_token_opens_nothing(viewer_client, secret):
    path = f"/account/tokens/{Token.objects.get().pk}/revoke/"
    page = viewer_client.post(path, follow=True)
    assert "The token “grafana” is revoked." in page.text
    assert ask(secret).status_code == 401
    assert "This token is gone already." in viewer_client.post(path, follow=True).text


def test_nobody_sees_or_revokes_anothers_tokens(administrator_client, secret):
    token = Token.objects.get()
    assert "grafana</strong>" not in administrator_client.get("/account/").text
    administrator_client.post(f"/account/tokens/{token.pk}/revoke/")
    assert Token.objects.exists()


def test_reading_the_addresses_changes_nothing(viewer_client, secret):
    for path in ("/account/tokens/", f"/account/tokens/{Token.objects.get().pk}/revoke/"):
        assert viewer_client.get(path)["Location"] == "/account/"
    assert Token.objects.count() == 1


def test_a_token_manages_no_tokens(secret):
    assert ask(secret, "POST", "/account/tokens/").status_code == 302
    assert Token.objects.count() == 1


@pytest.mark.parametrize("name", ["grafana", "Büro 2", "ops@host:/cron (daily).sh", "a" * 50])
def test_names_of_all_languages_are_names(viewer_client, name):
    assert create(viewer_client, f" {name} ").context["secret"]
    assert Token.objects.get().name == name


@pytest.mark.parametrize(
    "name", ["", "  ", "a" * 51, "<b>", "a\nb", "a\x00b", "-a", "a\u202eb", "'a'", "a\u200bb"]
)
def test_a_name_that_is_none_is_an_error_of_the_form(viewer_client, name):
    answer = create(viewer_client, name)
    assert answer.context["token_form"].errors["name"]
    assert not Token.objects.exists()


def test_a_name_that_is_taken_is_an_error_of_the_form(viewer_client, administrator, secret):
    answer = create(viewer_client)
    assert "You have a token of this name already." in answer.text
    assert answer.context["secret"] is None
    assert tokens.issue(administrator, "grafana")


def test_twenty_tokens_are_enough(viewer_client, viewer):
    Token.objects.bulk_create(
        Token(user=viewer, name=f"{n}", secret_hash=f"{n}") for n in range(tokens.MOST_PER_USER)
    )
    answer = create(viewer_client)
    assert "You have 20 tokens, and more are not possible: revoke one first." in answer.text
    assert Token.objects.count() == 20


def test_making_and_revoking_are_in_the_log_without_the_secret(viewer_client, viewer):
    create(viewer_client)
    viewer_client.post(f"/account/tokens/{Token.objects.get().pk}/revoke/")
    entries = LogEntry.objects.order_by("pk").values_list("user", "action_flag", "object_repr")
    assert [*entries] == [(viewer.pk, 1, "grafana"), (viewer.pk, 3, "grafana")]


def test_the_page_takes_as_many_queries_for_many_tokens_as_for_none(
    viewer_client, viewer, django_assert_num_queries
):
    for name in "abc":
        tokens.issue(viewer, name)
    with django_assert_num_queries(3):  # session, user, tokens
        viewer_client.get("/account/")


def test_a_form_from_elsewhere_makes_and_revokes_nothing(viewer, secret):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
    assert create(browser, "other").status_code == 403
    assert browser.post(f"/account/tokens/{Token.objects.get().pk}/revoke/").status_code == 403
    assert Token.objects.count() == 1
