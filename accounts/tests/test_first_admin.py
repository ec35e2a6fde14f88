"""The administrator that the first start creates."""

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ImproperlyConfigured

from accounts.first_admin import ensure_first_admin
from accounts.models import User
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_given(settings):
    settings.PERFWATCH_ADMIN_USERNAME = "admin"
    settings.PERFWATCH_ADMIN_PASSWORD = ""


def test_the_first_administrator_may_everything():
    ensure_first_admin()
    user = User.objects.get()
    assert user.username == "admin"
    assert user.is_staff
    assert user.is_superuser
    assert user.is_active


def test_name_and_password_come_from_the_settings(settings):
    settings.PERFWATCH_ADMIN_USERNAME = "gärtner@example.org"
    settings.PERFWATCH_ADMIN_PASSWORD = PASSWORD
    assert ensure_first_admin() == ("gärtner@example.org", PASSWORD, False)
    assert User.objects.get(username="gärtner@example.org").check_password(PASSWORD)


def test_a_generated_password_is_long_enough_and_logs_in(client):
    made = ensure_first_admin()
    assert made.generated
    assert len(made.password) >= 16
    validate_password(made.password, User.objects.get())
    form = {"username": made.username, "password": made.password}
    assert client.post("/login/", form).status_code == 302


def test_generated_passwords_differ():
    first = ensure_first_admin()
    User.objects.all().delete()
    assert ensure_first_admin().password != first.password


def test_a_second_start_makes_nobody():
    ensure_first_admin()
    assert ensure_first_admin() is None
    assert User.objects.count() == 1


@pytest.mark.parametrize("active", [True, False])
def test_where_anybody_is_nobody_is_made(viewer, active):
    User.objects.update(is_active=active)
    assert ensure_first_admin() is None
    assert User.objects.count() == 1


def test_where_anybody_is_a_bad_password_is_not_looked_at(settings, viewer):
    settings.PERFWATCH_ADMIN_PASSWORD = "short"
    assert ensure_first_admin() is None


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("PERFWATCH_ADMIN_USERNAME", "x" * 51, "at most 50 characters"),
        ("PERFWATCH_ADMIN_USERNAME", "two words", "valid username"),
        ("PERFWATCH_ADMIN_USERNAME", "a;b", "valid username"),
        ("PERFWATCH_ADMIN_PASSWORD", "hunter2", "too short"),
        ("PERFWATCH_ADMIN_PASSWORD", "administrator", "too"),
        ("PERFWATCH_ADMIN_PASSWORD", "password123", "too common"),
        ("PERFWATCH_ADMIN_PASSWORD", "83726159403726", "numeric"),
        ("PERFWATCH_ADMIN_PASSWORD", "ü" * 37, "74 bytes"),
    ],
)
def test_what_a_form_would_refuse_is_named_by_its_variable(settings, variable, value, part):
    setattr(settings, variable, value)
    with pytest.raises(ImproperlyConfigured) as caught:
        ensure_first_admin()
    assert str(caught.value).startswith(f"{variable}: ")
    assert part in str(caught.value)
    assert variable == "PERFWATCH_ADMIN_USERNAME" or value not in str(caught.value)
    assert not User.objects.exists()
