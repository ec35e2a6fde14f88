"""Logging in, being locked out, and changing one's password."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings as project
from django.test import Client
from django.utils import timezone

from accounts.models import User
from conftest import PASSWORD
from perfwatch_site.logs import LineFormatter

NEW = "another long sentence"
WRONG = "Username or password is wrong. Mind capital letters."
LOCKED = "Too many wrong passwords. Wait 15 minutes and try again."


def login(client, password=PASSWORD, username="viewer", address="192.0.2.1", **more):
    form = {"username": username, "password": password, **more}
    return client.post("/login/", form, REMOTE_ADDR=address)


def is_logged_in(client):
    return client.get("/").status_code == 200


def fail(times, username="viewer", address="192.0.2.1", ago=timedelta(0)):
    """As if so many wrong passwords had been sent: each real one costs a bcrypt hash."""
    attempt = AccessAttempt.objects.create(
        username=username,
        ip_address=address,
        user_agent="some browser",
        failures_since_start=times,
    )
    AccessAttempt.objects.filter(pk=attempt.pk).update(attempt_time=timezone.now() - ago)


# --- Right and wrong ------------------------------------------------------------------------


def test_the_right_password_logs_in_and_leads_to_the_live_page(client, viewer):
    assert login(client)["Location"] == "/"
    assert is_logged_in(client)


def test_a_wrong_password_does_not_log_in(client, viewer):
    answer = login(client, "wrong")
    assert answer.status_code == 200
    assert WRONG in answer.text
    assert not is_logged_in(client)


def visible(answer):
    return answer.text.replace(str(answer.context["csrf_token"]), "")


@pytest.mark.parametrize("password", ["wrong", "x" * 73, "ü" * 40])
def test_an_unknown_name_and_a_wrong_password_get_the_same_answer(client, viewer, password):
    known = login(client, password, "viewer")
    unknown = login(client, password, "vanish")
    assert unknown.status_code == known.status_code == 200
    assert WRONG in known.text
    assert visible(unknown).replace("vanish", "viewer") == visible(known)


@pytest.mark.parametrize("length", [51, 300, 100_000])
def test_a_name_that_nobody_can_have_gets_the_answer_of_a_wrong_password(client, viewer, length):
    answer = login(client, username="v" * length)
    assert answer.status_code == 200
    assert WRONG in answer.text
    assert not AccessAttempt.objects.exists()


def test_an_inactive_person_gets_the_answer_of_a_wrong_password(client, viewer):
    User.objects.update(is_active=False)
    answer = login(client)
    assert WRONG in answer.text
    assert not is_logged_in(client)


@pytest.mark.parametrize("form", [{}, {"username": "viewer"}, {"password": "x"}])
def test_an_incomplete_form_names_what_is_missing(client, db, form):
    answer = client.post("/login/", form)
    assert answer.status_code == 200
    missing = {"username", "password"} - form.keys()
    assert set(answer.context["form"].errors) == missing


def test_a_wrong_attempt_keeps_where_one_wanted_to_go(client, viewer):
    answer = login(client, "wrong", next="/account/")
    assert 'name="next" value="/account/"' in answer.text
    assert login(client, next="/account/")["Location"] == "/account/"


def test_who_is_logged_in_is_led_past_the_login_page(viewer_client):
    assert viewer_client.get("/login/?next=/account/")["Location"] == "/account/"


def test_the_login_page_asks_the_database_nothing(client, django_assert_num_queries, db):
    with django_assert_num_queries(0):
        assert client.get("/login/?next=/account/").status_code == 200


def test_a_login_is_remembered_in_the_account(client, viewer):
    login(client)
    viewer.refresh_from_db()
    assert viewer.last_login


# --- Locked out -----------------------------------------------------------------------------


def test_the_fifth_wrong_password_locks_with_a_sentence_in_the_login_page(client, viewer):
    codes = [login(client, "wrong").status_code for _ in range(4)]
    answer = login(client, "wrong", next="/account/")
    assert [*codes, answer.status_code] == [200, 200, 200, 200, 429]
    assert LOCKED in answer.text
    assert 'name="next" value="/account/"' in answer.text
    assert 'name="password"' in answer.text


def test_an_unknown_name_is_locked_like_a_known_one(client, viewer):
    fail(4, "vanish")
    assert login(client, "wrong", "vanish").status_code == 429


def test_the_right_password_is_refused_while_locked(client, viewer):
    fail(5)
    assert login(client).status_code == 429
    assert not is_logged_in(client)


def test_another_browser_of_the_same_address_is_locked_too(viewer):
    fail(5)
    assert login(Client(headers={"User-Agent": "another browser"})).status_code == 429


def test_another_address_is_not_locked(client, viewer):
    fail(5)
    assert login(client, address="192.0.2.2").status_code == 302


def test_another_person_at_the_same_address_is_not_locked(client, viewer):
    fail(5, "boss")
    assert login(client).status_code == 302


def test_trying_on_does_not_prolong_the_lock_and_is_not_recorded(client, viewer):
    fail(5, ago=timedelta(minutes=14))
    before = AccessAttempt.objects.values().get()
    assert login(client, "wrong").status_code == 429
    assert AccessAttempt.objects.values().get() == before


def test_the_lock_opens_after_the_cool_off(client, viewer):
    fail(5, ago=timedelta(minutes=15, seconds=1))
    assert login(client).status_code == 302


def test_success_forgets_the_wrong_attempts(client, viewer):
    fail(4)
    assert login(client).status_code == 302
    assert not AccessAttempt.objects.exists()


def test_the_password_is_not_written_into_the_attempt(client, viewer):
    login(client, "hunter2-secret")
    attempt = AccessAttempt.objects.values().get()
    assert "hunter2-secret" not in str(attempt)


def test_the_log_names_who_failed_from_where_in_one_line_without_the_password(
    client, viewer, caplog
):
    login(client, "hunter2-secret", "vanish\nroot")
    (record,) = caplog.records
    line = LineFormatter("{name}: {message}", style="{").format(record)
    assert line.startswith("axes.")
    assert 'username: "vanish root", ip_address: "192.0.2.1"' in line
    assert line.isprintable()
    assert "hunter2-secret" not in line


def test_a_forwarded_address_of_a_stranger_opens_no_lock(client, viewer):
    fail(5)
    form = {"username": "viewer", "password": PASSWORD}
    headers = {"X-Forwarded-For": "203.0.113.5"}
    answer = client.post("/login/", form, headers=headers, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 429


# --- A new password -------------------------------------------------------------------------


def change(client, old=PASSWORD, first=NEW, second=None):
    form = {"old_password": old, "new_password1": first, "new_password2": second or first}
    return client.post("/account/", form)


def test_the_account_page_says_who_one_is(viewer_client, administrator_client):
    assert "Viewer: you see everything" in viewer_client.get("/account/").text
    assert "Administrator: you may change" in administrator_client.get("/account/").text


@pytest.mark.parametrize(
    ("form", "field", "part"),
    [
        ({"old": "wrong"}, "old_password", "entered incorrectly"),
        ({"second": "something else"}, "new_password2", "match"),
        ({"first": "password123"}, "new_password2", "too common"),
        ({"first": "abcxyz"}, "new_password2", "too short"),
        ({"first": "8372615940372"}, "new_password2", "entirely numeric"),
        ({"first": "x" * 73}, "new_password2", "73 bytes"),
    ],
)
def test_a_refused_password_names_the_field_and_the_reason(
    viewer_client, viewer, form, field, part
):
    before = viewer.password
    answer = change(viewer_client, **form)
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert part in str(answer.context["form"].errors[field])
    assert f'id="id_{field}_error"' in answer.text
    viewer.refresh_from_db()
    assert viewer.password == before


def test_an_old_password_that_bcrypt_cannot_take_is_wrong(viewer_client):
    answer = change(viewer_client, old="x" * 73)
    assert list(answer.context["form"].errors) == ["old_password"]


def test_a_new_password_logs_in_and_the_old_one_no_more(viewer_client, viewer):
    answer = viewer_client.get(change(viewer_client)["Location"])
    assert "Your password is changed." in answer.text
    viewer.refresh_from_db()
    assert viewer.check_password(NEW)
    assert not viewer.check_password(PASSWORD)


def test_a_new_password_keeps_this_session_and_ends_the_others(viewer_client, viewer):
    other = Client()
    other.force_login(viewer, backend=project.AUTHENTICATION_BACKENDS[-1])
    before = viewer_client.session.session_key
    change(viewer_client)
    assert is_logged_in(viewer_client)
    assert viewer_client.session.session_key != before
    assert not is_logged_in(other)
