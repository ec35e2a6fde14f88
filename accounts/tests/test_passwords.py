"""Passwords: how they are hashed, and what the column makes of what it finds."""

import bcrypt
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import authenticate
from django.db import connection, transaction

from accounts.hashers import BcryptHasher
from accounts.models import User

PASSWORD = "correct horse battery"
LONGEST = "ü" * 36
TOO_LONG = "ü" * 36 + "x"
HASHES = {  # of PASSWORD, by cost
    4: "$2b$04$M/KUGCevt6fmCxxL0vwVs.Fz2pWjqw40thht0ZKAl8bquBjdypojq",
    10: "$2b$10$IvqNDut5mKhTSBxH4vu7nuGIcGVe.905ctAk4car0PeUhUKMIvEtS",
    12: "$2b$12$pCaWlVy4xhbUncw/eAwkR.XaRMHOS5.ZW3evdTJeXDPpmxYZ.P8sy",
    13: "$2b$13$ZkiPrPXcZyqwffY7hIltUuS0iFe6vxIx/QgRCE8X94hRyEQI6V0ei",
}


def bcrypt_hash(*, cost=10, version="2b"):
    return HASHES[cost].replace("$2b$", f"${version}$", 1)


def insert_user(password_hash, username="ada"):
    """A user who came by SQL."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users (username, password_hash) VALUES (%s, %s)", [username, password_hash]
        )
    return User.objects.get(username=username)


def stored(user):
    """The text in the column."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT password_hash FROM users WHERE id = %s", [user.id])
        return cursor.fetchone()[0]


def log_in(client, username="ada", password=PASSWORD):
    """Whether the login page lets this person in."""
    answer = client.post("/login/", {"username": username, "password": password})
    assert answer.status_code in (200, 302)
    return answer.status_code == 302


@pytest.fixture
def cheapest(monkeypatch):
    """Hash so cheaply that the column must refuse what comes of it."""
    monkeypatch.setattr(BcryptHasher, "rounds", 4)


# --- cost -----------------------------------------------------------------------------------


def test_a_new_password_costs_12(db, real_cost):
    assert stored(User.objects.create_user("ada", PASSWORD)).startswith("$2b$12$")


@pytest.mark.parametrize("cost", [4, 9])
def test_a_cost_under_10_is_never_written(db, monkeypatch, cost):
    monkeypatch.setattr(BcryptHasher, "rounds", cost)
    with pytest.raises(ValueError, match="cost under 10"), transaction.atomic():
        User.objects.create_user("ada", PASSWORD)
    assert not User.objects.exists()


def test_a_cost_of_10_is_rehashed_at_login(client, db, real_cost):
    user = insert_user(bcrypt_hash(cost=10))
    assert log_in(client)
    assert stored(user).startswith("$2b$12$")
    assert bcrypt.checkpw(PASSWORD.encode(), stored(user).encode())


def test_a_cost_that_is_too_weak_to_be_written_is_rehashed_at_login(client, db, real_cost):
    user = insert_user(bcrypt_hash(cost=4))
    assert log_in(client)
    assert stored(user).startswith("$2b$12$")


def test_a_wrong_password_leaves_a_weak_hash_as_it_is(client, db):
    user = insert_user(weak := bcrypt_hash(cost=4))
    assert not log_in(client, password="wrong")
    assert stored(user) == weak


def test_a_cost_of_13_is_kept(client, db, real_cost):
    user = insert_user(strong := bcrypt_hash(cost=13))
    assert log_in(client)
    assert stored(user) == strong


def test_a_cost_of_12_is_kept(client, db, real_cost):
    user = insert_user(made := bcrypt_hash(cost=12))
    assert log_in(client)
    assert stored(user) == made


# --- what may be in the column --------------------------------------------------------------


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_hashes_of_other_tools_can_log_in(client, db, version):
    user = insert_user(made := bcrypt_hash(version=version))
    assert log_in(client)
    assert stored(user) == made


def test_a_hash_with_djangos_prefix_can_log_in(client, db):
    insert_user("bcrypt$" + bcrypt_hash())
    assert log_in(client)


def test_a_wrong_password_does_not_log_in(client, db):
    insert_user(bcrypt_hash())
    assert not log_in(client, password=PASSWORD.upper())


JUNK = [
    "",
    "junk",
    PASSWORD,
    "$2b$12$...",
    "bcrypt$",
    "bcrypt$junk",
    "bcrypt$$2b$12$short",
    "$2b$00$" + "a" * 53,
    "$2b$03$" + "a" * 53,
    "$2b$99$" + "a" * 53,
    "$2b$١٢$" + "a" * 53,
    "$2x$12$" + "a" * 53,
    "$2b$04$" + "ü" * 53,
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "md5$$5f4dcc3b5aa765d61d8327deb882cf99",
    "pbkdf2_sha256$1$salt$hash",
    "!",
]


@pytest.mark.parametrize("text", JUNK)
def test_junk_in_the_column_opens_nothing_and_breaks_nothing(client, db, cheapest, text):
    user = insert_user(text)
    assert not log_in(client, password=text or "x")
    assert stored(user) == text


@pytest.mark.parametrize("text", ["", "junk", "$2b$12$...", "bcrypt$junk", "!"])
def test_the_administration_shows_and_changes_a_user_with_junk(administrator_client, text):
    user = insert_user(text)
    page = f"/admin/accounts/user/{user.id}/change/"
    assert administrator_client.get(page).status_code == 200
    assert administrator_client.post(page, {"username": "grace"}).status_code == 302
    user.refresh_from_db()
    assert (user.username, user.is_active, stored(user)) == ("grace", False, text)


@pytest.mark.parametrize(
    "text", ["", "junk", "bcrypt$pbkdf2", "pbkdf2_sha256$1$salt$hash", PASSWORD]
)
def test_nothing_but_a_bcrypt_hash_is_written(db, text):
    with pytest.raises(ValueError, match="Only a bcrypt hash"):
        User.objects.create(username="ada", password=text)


def test_a_user_without_a_password_cannot_log_in(client, db):
    user = User.objects.create_user("ada")
    assert stored(user).startswith("!") and not user.has_usable_password()
    assert not log_in(client)


# --- more than 72 bytes ---------------------------------------------------------------------


def test_72_bytes_are_a_password(client, db):
    User.objects.create_user("ada", LONGEST)
    assert log_in(client, password=LONGEST)


@pytest.mark.parametrize("cost", [4, 10])
def test_more_than_72_bytes_do_not_match_what_their_beginning_matches(client, db, real_cost, cost):
    user = insert_user(bcrypt.hashpw(LONGEST.encode(), bcrypt.gensalt(cost)).decode())
    assert not user.check_password(TOO_LONG)
    assert not log_in(client, password=TOO_LONG)
    assert user.check_password(LONGEST)


def test_more_than_72_bytes_for_a_name_that_nobody_has_do_not_log_in(client, db):
    assert not log_in(client, username="nobody", password=TOO_LONG)


def test_more_than_72_bytes_for_somebody_without_a_password_do_not_log_in(client, db):
    User.objects.create_user("ada")
    assert not log_in(client, password=TOO_LONG)


def test_more_than_72_bytes_are_never_written(db):
    with pytest.raises(ValueError, match="at most 72 bytes"), transaction.atomic():
        User.objects.create_user("ada", TOO_LONG)
    assert not User.objects.exists()


def test_changing_to_more_than_72_bytes_is_an_error_of_the_form(viewer_client, viewer):
    fields = {"old_password": PASSWORD, "new_password1": TOO_LONG, "new_password2": TOO_LONG}
    answer = viewer_client.post("/account/", fields)
    assert answer.status_code == 200
    assert "This password is 73 bytes long; at most 72 are possible." in answer.text
    assert authenticate(answer.wsgi_request, username="viewer", password=PASSWORD) == viewer


def test_a_password_can_be_changed_to_72_bytes(client, viewer_client, viewer):
    fields = {"old_password": PASSWORD, "new_password1": LONGEST, "new_password2": LONGEST}
    assert viewer_client.post("/account/", fields)["Location"] == "/account/"
    assert log_in(client, username="viewer", password=LONGEST)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (viewer, str(viewer.pk))
    assert entry.change_message == "Changed password."


def test_creating_somebody_with_more_than_72_bytes_is_an_error_of_the_form(administrator_client):
    fields = {"username": "ada", "password1": TOO_LONG, "password2": TOO_LONG}
    answer = administrator_client.post(
        "/admin/accounts/user/add/", fields | {"usable_password": "true"}
    )
    assert answer.status_code == 200 and "at most 72 are possible" in answer.text
    assert not User.objects.filter(username="ada").exists()


def test_setting_more_than_72_bytes_for_somebody_is_an_error_of_the_form(
    administrator_client, viewer
):
    before = stored(viewer)
    answer = administrator_client.post(
        f"/admin/accounts/user/{viewer.id}/password/",
        {"password1": TOO_LONG, "password2": TOO_LONG, "usable_password": "true"},
    )
    assert answer.status_code == 200 and "at most 72 are possible" in answer.text
    assert stored(viewer) == before
