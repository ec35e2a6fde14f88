"""Fixtures that every test may use."""

import functools

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.test import Client

from accounts.hashers import COST, BcryptHasher
from accounts.models import User

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def static_files_without_manifest(settings):
    """Render pages without having collected the static files first."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture(autouse=True)
def no_answers_of_other_tests():
    """Forget what pages remember: ids begin anew with each test."""
    cache.clear()


@pytest.fixture(autouse=True)
def cheaper_passwords(monkeypatch):
    """Hash four times faster: cost 10 is the lowest that may be stored."""
    monkeypatch.setattr(BcryptHasher, "rounds", 10)


@pytest.fixture
def real_cost(cheaper_passwords, monkeypatch):
    """Hash as in production."""
    monkeypatch.setattr(BcryptHasher, "rounds", COST)


@functools.cache
def hashed_password():
    """The hash of PASSWORD, made once for all tests: hashing is slow on purpose."""
    return make_password(PASSWORD)


@pytest.fixture
def viewer(db):
    """A person who may look."""
    return User.objects.create(username="viewer", password=hashed_password())


@pytest.fixture
def administrator(db):
    """A person who may change."""
    return User.objects.create(
        username="boss", password=hashed_password(), is_staff=True, is_superuser=True
    )


@pytest.fixture
def viewer_client(viewer):
    """A browser in which the viewer is logged in."""
    client = Client()
    client.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def administrator_client(administrator):
    """A browser in which the administrator is logged in."""
    client = Client()
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the tests that wait for processes: the other worker uses the time."""
    items.sort(key=lambda item: not {"processes", "processes_with_redis"} & {*item.fixturenames})
