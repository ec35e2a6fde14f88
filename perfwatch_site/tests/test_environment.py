"""What the environment may say, and what is answered to the rest."""

import os
import re
import shutil
import stat
import subprocess
import sys

import pytest
from django.conf import settings as project
from django.core.exceptions import ImproperlyConfigured

WRONG = [
    ("PERFWATCH_PORT", "x"),
    ("PERFWATCH_PORT", "0"),
    ("PERFWATCH_PORT", "70000"),
    ("PERFWATCH_PORT", "-1"),
    ("PERFWATCH_PORT", "8000.0"),
    ("PERFWATCH_PORT", "²"),
    ("PERFWATCH_PORT", "9" * 5_000),
    ("PERFWATCH_SLOW_QUERY_MS", "0"),
    ("PERFWATCH_SLOW_QUERY_MS", "3600001"),
    ("PERFWATCH_DATA_DIR", "/dev/null/var"),
    ("PERFWATCH_DATA_DIR", "/dev/null"),
    ("PERFWATCH_DATA_DIR", "/"),
    ("PERFWATCH_DATA_DIR", "~nobody-of-this-name/var"),
    ("PERFWATCH_PROCFS", "/nonexistent"),
    ("PERFWATCH_PROCFS", "/" + "x" * 300),
    ("PERFWATCH_PROCFS", "/"),
    ("PERFWATCH_SYSFS", "/dev/null"),
    ("PERFWATCH_ROOTFS", "/nonexistent"),
    ("PERFWATCH_BASE_URL", "ftp://example.org"),
    ("PERFWATCH_BASE_URL", "example.org"),
    ("PERFWATCH_BASE_URL", "https://"),
    ("PERFWATCH_BASE_URL", "https://example.org:x"),
    ("PERFWATCH_BASE_URL", "https://example.org/perfwatch"),
    ("PERFWATCH_BASE_URL", "https://[::1"),
    ("PERFWATCH_BASE_URL", "https://me@example.org"),
    ("PERFWATCH_BASE_URL", "https://perf example.org"),
    ("PERFWATCH_BASE_URL", "https://<perf>.example.org"),
    ("PERFWATCH_BASE_URL", "https://pärf.example.org"),
    ("PERFWATCH_BASE_URL", "https://*.example.org"),
    ("PERFWATCH_TRUSTED_PROXIES", "300.1.1.1"),
    ("PERFWATCH_TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
    ("PERFWATCH_TRUSTED_PROXIES", "10.0.0.1/8"),
    ("DATABASE_URL", "mysql://me@example.org/perfwatch"),
    ("DATABASE_URL", "nonsense"),
    ("DATABASE_URL", "postgres:"),
    ("DATABASE_URL", "postgres://"),
    ("DATABASE_URL", "postgres://me:secret@example.org"),
    ("DATABASE_URL", "postgres://me:secret@example.org:x/perfwatch"),
    ("DATABASE_URL", "postgres://me:secret@example.org:70000/perfwatch"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite://:memory:"),
    ("DATABASE_URL", "sqlite:///file::memory:?cache=shared"),
    ("REDIS_URL", "http://x"),
    ("REDIS_URL", "redis://"),
    ("REDIS_URL", "redis://x:0"),
    ("REDIS_URL", "redis://x:6379/notadb"),
    ("REDIS_URL", "redis://x:6379/0/1"),
    ("REDIS_URL", "redis://x:6379/-1"),
    ("DEBUG", "maybe"),
    ("ALLOWED_HOSTS", "https://example.org"),
    ("ALLOWED_HOSTS", "example.org:8000"),
    ("ALLOWED_HOSTS", "good.example.org,::1"),
    ("CSRF_TRUSTED_ORIGINS", "example.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://good.example.org,https://example.org/path"),
    ("CSRF_TRUSTED_ORIGINS", "https://good.example.org https://example.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://exa>mple.org"),
    ("CSRF_TRUSTED_ORIGINS", "https://exam*ple.org"),
]
KEY_OF_PROCESS = """
import sys, pathlib
from perfwatch_site.secret_key import stored_secret_key
print("ready", flush=True)
sys.stdin.readline()
print(stored_secret_key(pathlib.Path(sys.argv[1])))
"""


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def error_of(read_settings, **variables):
    with pytest.raises(ImproperlyConfigured) as caught:
        read_settings(**variables)
    return str(caught.value)


@pytest.fixture
def checkout(tmp_path):
    """A copy of the programs: what lies beside them is nobody's."""
    copy = tmp_path / "checkout"
    for name in ("perfwatch_site", "metrics", "accounts", "templates", "static"):
        ignore = shutil.ignore_patterns("__pycache__", "vendor")
        shutil.copytree(project.BASE_DIR / name, copy / name, ignore=ignore)
    shutil.copy(project.BASE_DIR / "manage.py", copy)
    return copy


def run_in(checkout, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=checkout,
        env={"PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


# --- Wrong values ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: text[:40])
def test_a_wrong_value_is_one_line_that_names_the_variable(read_settings, name, value):
    error = error_of(read_settings, **{name: value})
    assert name in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("check", "PERFWATCH_PORT", "x"),
        ("sample", "PERFWATCH_PROCFS", "/nonexistent"),
        ("serve", "DATABASE_URL", "postgres://me:hunter2@example.org:x/perfwatch"),
        ("check", "PERFWATCH_PROT", "9000"),
    ],
)
def test_a_command_stops_at_a_wrong_value(manage, command, name, value):
    done = manage(command, **{name: value})
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("perfwatch: ")
    assert name in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@example.org/perfwatch",
        "postgres://me:hunter2@example.org",
        "postgres://me:hunter2@example.org:x/perfwatch",
        "postgres://me:hunter2/with-slash@example.org/perfwatch",
        "postgres://me:hunter2[@example.org",
    ],
)
def test_the_password_of_the_database_is_in_no_error(read_settings, url):
    with pytest.raises(ImproperlyConfigured) as caught:
        read_settings(DATABASE_URL=url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_password_of_redis_is_in_no_error(read_settings):
    assert "hunter2" not in error_of(read_settings, REDIS_URL="redis://:hunter2@x:6379/notadb")


def test_a_directory_without_stat_is_no_procfs(read_settings, tmp_path):
    error = error_of(read_settings, PERFWATCH_PROCFS=str(tmp_path))
    assert error == f"PERFWATCH_PROCFS: {tmp_path} is no procfs: it has no file stat."


def test_a_variable_and_its_file_together_are_refused(read_settings, tmp_path):
    (tmp_path / "key").write_text("k" * 60)
    error = error_of(read_settings, SECRET_KEY="a" * 60, SECRET_KEY_FILE=str(tmp_path / "key"))
    assert error == "SECRET_KEY and SECRET_KEY_FILE are both set; unset one of them."


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_file_that_gives_no_value_is_named_with_its_variable(read_settings, tmp_path, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    error = error_of(read_settings, SECRET_KEY_FILE=str(path))
    assert error.startswith("SECRET_KEY_FILE: ")
    assert str(path) in error


@pytest.mark.parametrize(
    ("misspelled", "meant"),
    [
        ("PERFWATCH_PROT", "PERFWATCH_PORT"),
        ("PERFWATCH_TRUSTED_PROXY", "PERFWATCH_TRUSTED_PROXIES"),
        ("PERFWATCH_ADMIN_PASSWROD_FILE", "PERFWATCH_ADMIN_PASSWORD_FILE"),
        ("PERFWATCH_ENVFILE", "PERFWATCH_ENV_FILE"),
    ],
)
def test_a_misspelled_variable_is_refused_with_the_one_that_was_meant(
    read_settings, misspelled, meant
):
    error = error_of(read_settings, **{misspelled: "1"})
    assert error == f"{misspelled} is not a variable of PerfWatch. Did you mean {meant}?"


def test_a_directory_open_to_everybody_is_no_data_directory(read_settings, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    assert "PERFWATCH_DATA_DIR" in error_of(read_settings, PERFWATCH_DATA_DIR=str(shared))
    assert mode(shared) == 0o1777


# --- Right values ---------------------------------------------------------------------------


def test_an_empty_variable_counts_as_unset(read_settings):
    names = set(read_settings()["env"].names) - {"PERFWATCH_DATA_DIR"}
    found = read_settings(**dict.fromkeys(names, ""), PERFWATCH_UNKNOWN="")
    assert found["PERFWATCH_PORT"] == 8000
    assert found["PERFWATCH_SLOW_QUERY_MS"] == 1000
    assert found["DATABASES"]["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert found["DEBUG"] is False
    assert found["SECRET_KEY"]


def test_a_value_from_a_file_loses_its_line_end(read_settings, tmp_path):
    path = tmp_path / "url"
    path.write_text("postgres://me:p%40ss@[::1]:5433/perfwatch\n")
    database = read_settings(DATABASE_URL_FILE=str(path))["DATABASES"]["default"]
    assert database["PASSWORD"] == "p@ss"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("::1", 5433, "perfwatch")


def test_the_slow_query_limit_is_read(read_settings):
    assert read_settings(PERFWATCH_SLOW_QUERY_MS="250")["PERFWATCH_SLOW_QUERY_MS"] == 250


def test_a_base_url_in_capitals_switches_https_on(read_settings):
    found = read_settings(PERFWATCH_BASE_URL="HTTPS://Perf.Example.org/")
    assert found["PERFWATCH_BASE_URL"] == "https://perf.example.org"
    assert found["SECURE_SSL_REDIRECT"] is True
    assert "perf.example.org" in found["ALLOWED_HOSTS"]


@pytest.mark.parametrize(
    "variables", [{"PERFWATCH_HOST": "fd00::1"}, {"PERFWATCH_BASE_URL": "https://[fd00::1]:8443"}]
)
def test_an_ipv6_address_of_ours_is_an_allowed_host(read_settings, variables):
    assert "[fd00::1]" in read_settings(**variables)["ALLOWED_HOSTS"]


def test_the_brackets_of_an_ipv6_address_are_taken_off(read_settings):
    assert read_settings(PERFWATCH_HOST="[::1]")["PERFWATCH_HOST"] == "::1"


@pytest.mark.parametrize(
    "url", ["https://a_b.example.org", "http://192.0.2.1:8000", "https://[::1]:8443"]
)
def test_an_origin_is_a_name_or_an_address_with_or_without_a_port(read_settings, url):
    assert read_settings(PERFWATCH_BASE_URL=url)["PERFWATCH_BASE_URL"] == url


@pytest.mark.parametrize("path", ["", "/", "/15", "/0/"])
def test_a_redis_url_may_name_a_database(read_settings, path):
    found = read_settings(REDIS_URL=f"rediss://:p@redis.example.org:6379{path}")
    assert found["REDIS_URL"] == f"rediss://:p@redis.example.org:6379{path.rstrip('/')}"


@pytest.mark.parametrize(
    "end",
    [
        "rediss://x:6379/0?ssl_ca_cert=/ca.crt",  # misspelled
        "rediss://x:6379/0?ssl_ca_certs=/ca.crt&timeout=5",
        "redis://x:6379/0?ssl_ca_certs=/ca.crt",  # no TLS, although it looks so
    ],
)
def test_options_of_redis_are_those_of_tls_only(read_settings, end):
    assert error_of(read_settings, REDIS_URL=end) == (
        "REDIS_URL may have the options ssl_ca_certs, ssl_cert_reqs, ssl_certfile, ssl_keyfile, "
        "and these with rediss:// only."
    )


def test_relative_paths_start_at_the_checkout(read_settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_settings(
        PERFWATCH_DATA_DIR=os.path.relpath(tmp_path / "data", project.BASE_DIR),
        PERFWATCH_SYSFS="metrics",
        PERFWATCH_ENV_FILE=".env.example",
        SECRET_KEY_FILE="manage.py",
        DATABASE_URL="sqlite:///relative.db",
    )
    assert found["PERFWATCH_DATA_DIR"].samefile(tmp_path / "data")
    assert found["PERFWATCH_SYSFS"] == str(project.BASE_DIR / "metrics")
    assert found["SECRET_KEY"] == (project.BASE_DIR / "manage.py").read_text().strip()
    assert found["DATABASES"]["default"]["NAME"] == str(project.BASE_DIR / "relative.db")


def test_hosts_and_origins_are_lists_separated_by_commas(read_settings):
    found = read_settings(
        ALLOWED_HOSTS="example.org, .example.net,[::1],*",
        CSRF_TRUSTED_ORIGINS="https://example.org/, https://*.example.net:8443",
    )
    assert found["ALLOWED_HOSTS"] == ["example.org", ".example.net", "[::1]", "*"]
    assert found["CSRF_TRUSTED_ORIGINS"] == ["https://example.org", "https://*.example.net:8443"]


def test_with_no_environment_at_all_everything_works(checkout):
    done = run_in(checkout, "check")
    assert done.returncode == 0, done.stderr
    assert mode(checkout / "var") == 0o700


# --- The env file ---------------------------------------------------------------------------


def test_the_env_file_beside_manage_py_is_read(checkout):
    (checkout / ".env").write_text("# mine\n\nexport PERFWATCH_PORT='x y'\n")
    done = run_in(checkout, "check")
    assert done.stderr == (
        "perfwatch: PERFWATCH_PORT must be a whole number from 1 to 65535, not 'x y'.\n"
    )


def test_the_process_environment_wins_over_the_env_file(read_settings, tmp_path):
    (tmp_path / "env").write_text("PERFWATCH_PORT=9001\nPERFWATCH_HOST=::1\n")
    found = read_settings(PERFWATCH_ENV_FILE=str(tmp_path / "env"), PERFWATCH_PORT="9002")
    assert (found["PERFWATCH_HOST"], found["PERFWATCH_PORT"]) == ("::1", 9002)


def test_an_env_file_that_is_not_there_is_an_error(read_settings, tmp_path):
    error = error_of(read_settings, PERFWATCH_ENV_FILE=str(tmp_path / "nowhere"))
    assert error.startswith("PERFWATCH_ENV_FILE: cannot read")


def test_a_line_of_the_env_file_that_says_nothing_is_an_error_without_its_text(
    read_settings, tmp_path
):
    (tmp_path / "env").write_text("PERFWATCH_HOST=::1\nSECRET_KEY = hunter2\n")
    error = error_of(read_settings, PERFWATCH_ENV_FILE=str(tmp_path / "env"))
    assert "line 2" in error
    assert "hunter2" not in error


def test_a_misspelled_name_in_the_env_file_is_refused(read_settings, tmp_path):
    (tmp_path / "env").write_text("PERFWATCH_PROT=9001\n")
    error = error_of(read_settings, PERFWATCH_ENV_FILE=str(tmp_path / "env"))
    assert "PERFWATCH_PORT" in error


def example():
    text = (project.BASE_DIR / ".env.example").read_text()
    return dict(re.findall(r"^# ([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_the_example_lists_exactly_the_variables_that_are_read(read_settings):
    assert set(example()) == read_settings()["env"].names


def test_the_example_shows_the_defaults(read_settings):
    variables = example()
    assert variables.pop("PERFWATCH_DATA_DIR") == "var"
    shown, plain = read_settings(**variables), read_settings()
    names = [name for name in plain if name.startswith("PERFWATCH_")]
    assert {name: shown[name] for name in names} == {name: plain[name] for name in names}
    assert shown["DEBUG"] is plain["DEBUG"]


def test_everything_in_the_example_is_commented_out():
    lines = (project.BASE_DIR / ".env.example").read_text().splitlines()
    assert all(line.startswith("#") for line in lines if line)


# --- Data directory and secret key ----------------------------------------------------------


def test_the_data_directory_is_closed_to_others(read_settings, tmp_path):
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o755)
    read_settings(PERFWATCH_DATA_DIR=str(path))
    assert mode(path) == 0o700


def test_the_secret_key_is_kept_for_the_next_start(read_settings, tmp_path):
    first = read_settings()["SECRET_KEY"]
    assert len(first) >= 50
    assert mode(tmp_path / "var" / "secret-key") == 0o600
    assert read_settings()["SECRET_KEY"] == first


def test_a_secret_key_of_the_environment_leaves_no_file(read_settings, tmp_path):
    assert read_settings(SECRET_KEY="k" * 60)["SECRET_KEY"] == "k" * 60
    assert list((tmp_path / "var").iterdir()) == []


def test_an_empty_key_file_is_an_error(read_settings, tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secret-key").touch()
    assert error_of(read_settings).startswith("SECRET_KEY: ")


def test_eight_processes_that_start_together_use_one_key(tmp_path):
    command = [sys.executable, "-c", KEY_OF_PROCESS, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(project.BASE_DIR)}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(8)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate()[0] for process in processes}
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret-key"]
