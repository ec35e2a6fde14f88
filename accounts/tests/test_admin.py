"""People in the administration: who may enter, and what administrators do with users."""

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.test import Client

from accounts.admin import UserAdmin
from accounts.models import User

PASSWORD = "correct horse battery"
USERS = "/admin/accounts/user/"


def page_of(user, action="change"):
    return f"{USERS}{user.id}/{action}/"


def add(client, **fields):
    defaults = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}
    return client.post(f"{USERS}add/", defaults | fields)


def can_log_in(username, password=PASSWORD):
    answer = Client().post("/login/", {"username": username, "password": password})
    return answer.status_code == 302


# --- who may enter --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/admin/", USERS, f"{USERS}add/", "/admin/metrics/config/", "/admin/nowhere/"]
)
def test_somebody_who_is_not_logged_in_is_sent_to_the_login_page(client, db, path):
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={path}")


@pytest.mark.parametrize(
    "path", ["/admin/", USERS, f"{USERS}add/", "/admin/metrics/config/sampling/change/"]
)
def test_a_viewer_is_told_that_administrators_only_may_enter(viewer_client, path):
    answer = viewer_client.get(path, follow=True)
    assert answer.status_code == 403
    assert "Only administrators may open the administration pages." in answer.text


def test_a_viewer_cannot_change_anybody(viewer_client, viewer):
    fields = {"username": "viewer", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    assert viewer_client.post(page_of(viewer), fields, follow=True).status_code == 403
    viewer.refresh_from_db()
    assert not (viewer.is_staff or viewer.is_superuser)


def test_somebody_who_is_staff_only_changes_nothing(viewer_client, viewer):
    User.objects.update(is_staff=True)
    assert viewer_client.get(USERS).status_code == 403
    assert viewer_client.post(page_of(viewer), {"is_superuser": "on"}).status_code == 403


def test_an_administrator_enters(administrator_client):
    answer = administrator_client.get("/admin/")
    assert answer.status_code == 200
    assert "Configuration and people" in answer.text


# --- users ----------------------------------------------------------------------------------


def test_a_viewer_is_created_and_can_log_in(administrator_client):
    assert add(administrator_client).status_code == 302
    user = User.objects.get(username="ada")
    assert (user.is_active, user.is_staff, user.is_superuser) == (True, False, False)
    assert can_log_in("ada")


def test_an_administrator_is_created(administrator_client):
    add(administrator_client, is_superuser="on")
    user = User.objects.get(username="ada")
    assert user.is_staff and user.is_superuser


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"username": "boss"}, "There is a user of this name already."),
        ({"username": "a" * 51}, "at most 50 characters"),
        ({"username": "with blank"}, "Enter a valid username"),
        ({"password2": "another horse"}, "didn’t match"),
        ({"password1": "short", "password2": "short"}, "too short"),
        ({"password1": "", "password2": "", "usable_password": "false"}, "This field is required."),
        ({"password1": "é" * 40, "password2": "é" * 40}, "at most 72 are possible"),
    ],
)
def test_a_user_who_cannot_be_created_is_an_error_of_the_form(administrator_client, fields, words):
    answer = add(administrator_client, **fields)
    assert answer.status_code == 200 and words in answer.text
    assert User.objects.count() == 1


def test_a_deactivated_person_is_logged_out_and_stays_out(
    administrator_client, viewer_client, viewer
):
    assert administrator_client.post(page_of(viewer), {"username": "viewer"}).status_code == 302
    viewer.refresh_from_db()
    assert not viewer.is_active
    assert viewer_client.get("/account/")["Location"] == "/login/?next=/account/"
    assert not can_log_in("viewer")


def test_a_new_password_lets_in_and_ends_the_old_sessions(
    administrator_client, viewer_client, viewer
):
    fields = {"password1": "battery horse staple", "password2": "battery horse staple"}
    answer = administrator_client.post(page_of(viewer, "password"), fields)
    assert answer.status_code == 302
    assert viewer_client.get("/account/").status_code == 302
    assert can_log_in("viewer", "battery horse staple") and not can_log_in("viewer")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password1": "battery horse", "password2": "horse battery"}, "didn’t match"),
        ({"password1": "viewer", "password2": "viewer"}, "too similar to the username"),
        ({"password1": "", "password2": "", "usable_password": "false"}, "This field is required."),
        ({"usable_password": "false", "unset-password": "Disable"}, "This field is required."),
    ],
)
def test_a_bad_new_password_changes_nothing(administrator_client, viewer, fields, words):
    answer = administrator_client.post(page_of(viewer, "password"), fields)
    assert answer.status_code == 200 and words in answer.text
    assert can_log_in("viewer")
    assert not LogEntry.objects.exists()


def test_a_viewer_becomes_an_administrator_and_a_viewer_again(administrator_client, viewer):
    for on in ({"is_superuser": "on"}, {}):
        fields = {"username": "viewer", "is_active": "on"} | on
        administrator_client.post(page_of(viewer), fields)
        viewer.refresh_from_db()
        assert viewer.is_staff is viewer.is_superuser is bool(on)


# --- nobody locks himself out ---------------------------------------------------------------


def test_nobody_takes_the_administration_from_himself(administrator_client, administrator):
    page = administrator_client.get(page_of(administrator)).text
    assert 'name="is_active"' not in page and 'name="is_superuser"' not in page
    administrator_client.post(page_of(administrator), {"username": "chief"})
    administrator.refresh_from_db()
    assert administrator.username == "chief"
    assert administrator.is_active and administrator.is_staff and administrator.is_superuser


def test_nobody_deletes_himself(administrator_client, administrator):
    answer = administrator_client.post(page_of(administrator, "delete"), {"post": "yes"})
    assert answer.status_code == 403
    fields = {"action": "delete_selected", "_selected_action": [administrator.pk], "post": "yes"}
    administrator_client.post(USERS, fields)
    assert User.objects.filter(pk=administrator.pk).exists()


def test_ones_own_new_password_keeps_one_logged_in(administrator_client, administrator):
    fields = {"password1": "battery horse staple", "password2": "battery horse staple"}
    administrator_client.post(page_of(administrator, "password"), fields)
    assert administrator_client.get("/account/").status_code == 200
    assert can_log_in("boss", "battery horse staple")


@pytest.mark.parametrize("action", ["change", "delete"])
def test_two_who_take_the_right_from_each_other_leave_one(
    administrator_client, administrator, viewer, monkeypatch, action
):
    """The right goes between the look at the session and the change, as with two at once."""
    User.objects.filter(pk=viewer.pk).update(is_staff=True, is_superuser=True)
    look = UserAdmin.has_change_permission

    def slow(self, request, obj=None):
        allowed = look(self, request, obj)
        User.objects.filter(pk=administrator.pk).update(is_active=False)
        return allowed

    monkeypatch.setattr(UserAdmin, "has_change_permission", slow)
    monkeypatch.setattr(UserAdmin, "has_delete_permission", slow)
    fields = {"username": "viewer", "post": "yes"}
    answer = administrator_client.post(page_of(viewer, action), fields)
    assert answer.status_code == 403
    assert "You are no administrator any more." in answer.text
    viewer.refresh_from_db()
    assert viewer.is_active and viewer.is_superuser


# --- the log --------------------------------------------------------------------------------


def test_whoever_changed_something_is_not_deleted(administrator_client, administrator, viewer):
    """With him his changes would vanish from the log."""
    LogEntry.objects.create(user=viewer, action_flag=CHANGE, object_repr="sampling")
    answer = administrator_client.post(page_of(viewer, "delete"), {"post": "yes"})
    assert answer.status_code == 403
    assert "/delete/" not in administrator_client.get(page_of(viewer)).text
    assert LogEntry.objects.get().user == viewer


def test_a_new_password_is_in_the_log(administrator_client, viewer):
    fields = {"password1": "battery horse staple", "password2": "battery horse staple"}
    administrator_client.post(page_of(viewer, "password"), fields)
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.get_change_message()) == ("viewer", "Changed password.")


def test_what_is_done_to_people_is_in_the_log(administrator_client, administrator):
    add(administrator_client)
    user = User.objects.get(username="ada")
    administrator_client.post(page_of(user), {"username": "ada"})
    administrator_client.post(page_of(user, "delete"), {"post": "yes"})
    entries = LogEntry.objects.filter(object_id=str(user.id)).order_by("id")
    assert [entry.action_flag for entry in entries] == [ADDITION, CHANGE, DELETION]
    assert {entry.user for entry in entries} == {administrator}


def test_the_list_of_users_takes_as_many_queries_for_many(
    administrator_client, django_assert_num_queries
):
    for number in range(20):
        User.objects.create(username=f"user{number}", password="!")
    # session, user, two counts, the rows
    with django_assert_num_queries(5):
        assert administrator_client.get(USERS).text.count("/change/") >= 21
