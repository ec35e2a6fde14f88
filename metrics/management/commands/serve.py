"""`manage.py serve`: prepares PerfWatch and becomes its supervisor; what `make run` starts."""

import contextlib
import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import Error as DatabaseFault
from django.db import connections

from accounts.first_admin import FirstAdmin, ensure_first_admin
from metrics.management.base import PerfWatchCommand
from metrics.pid_file import AlreadyRunningError, running, take
from metrics.supervisor import STOP_SIGNALS, Plan

STOP_LIMIT = 15.0
PROCESSES = ("web", "sampler", "beat", "worker")
logger = logging.getLogger("perfwatch.serve")


class Command(PerfWatchCommand):
    """Serve the pages and take samples until Ctrl-C."""

    help = (
        "Migrate the database, create the first administrator, then run web server and sampler "
        "(with REDIS_URL also beat and worker) and start again what crashes. "
        "Ends with everything it started at Ctrl-C, SIGTERM or SIGHUP, with exit status 0. "
        "Exit status 1: already running, or the port is in use."
    )
    requires_system_checks = ()  # migrate makes them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add `--stop` and `--only`."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--stop", action="store_true", help="end the PerfWatch that is running")
        which.add_argument(
            "--only",
            choices=PROCESSES,
            help="become this one process, for systemd or a container to supervise; web prepares "
            "the database first, beat and worker exist with REDIS_URL only",
        )

    def handle(self, *args: object, **options: object) -> None:
        """Start, or stop what runs."""
        if options["only"]:
            become_one(str(options["only"]))
        pid_file = settings.PERFWATCH_DATA_DIR / "perfwatch.pid"
        if options["stop"]:
            self.stdout.write(stop(pid_file))
            return
        address = reachable(settings.PERFWATCH_HOST)
        url = settings.PERFWATCH_BASE_URL or f"http://{joined(address, settings.PERFWATCH_PORT)}"
        try:
            lock = take(pid_file, url)
        except AlreadyRunningError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise unusable(pid_file, error) from error
        try:
            check_port(settings.PERFWATCH_HOST, settings.PERFWATCH_PORT)
            prepare()
            self.stdout.flush()
            become(plan(address, url, pid_file), lock)
        finally:  # not reached where it became the supervisor
            with contextlib.suppress(PermissionError):  # nobody holds it any longer
                pid_file.unlink(missing_ok=True)


def prepare() -> None:
    """Bring the database up to date and make the first administrator."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
        if admin := ensure_first_admin():
            hand_over(admin, settings.PERFWATCH_DATA_DIR)
    except DatabaseFault as error:
        reason = " ".join(str(error).split())
        raise CommandError(f"The database cannot be used (DATABASE_URL): {reason}") from error
    connections.close_all()


def plan(address: str, url: str, pid_file: Path) -> Plan:
    """Return what the supervisor has to know."""
    return Plan(
        programs=programs(),
        host=address,
        port=settings.PERFWATCH_PORT,
        host_header=host_header(address),
        url=url,
        pid_file=str(pid_file),
    )


def become(plan: Plan, lock: int) -> None:
    """Turn this process into the supervisor, which keeps the locked pid file open."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # they wait until it listens
    os.set_inheritable(lock, True)
    os.chdir(settings.BASE_DIR)
    command = [sys.executable, "-m", "metrics.supervisor", json.dumps(plan._asdict())]
    share_memory()
    os.execv(sys.executable, command)  # noqa: S606  no shell is wanted


def become_one(name: str) -> NoReturn:
    """Turn this process into one of those that the supervisor would start."""
    chosen = programs()
    if name not in chosen:
        raise CommandError(f"{name} is a process of its own only with REDIS_URL.")
    if name == "web":
        check_port(settings.PERFWATCH_HOST, settings.PERFWATCH_PORT)
        prepare()
    os.chdir(settings.BASE_DIR)
    share_memory()
    os.execv(sys.executable, chosen[name])  # noqa: S606  no shell is wanted


def share_memory() -> None:
    """Have the threads of what is started share what the C library keeps of freed memory.

    Else each thread keeps its own, 30 MB after a large page; Python's threads take turns anyway.
    """
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")


def programs() -> dict[str, list[str]]:
    """Return the command of each process, by name."""
    python = sys.executable
    celery = [python, "-m", "celery", "--quiet", "-A", "perfwatch_site"]
    chosen = {
        "web": [python, "-m", "gunicorn", "perfwatch_site.wsgi:application", *gunicorn_options()],
        "sampler": [python, "manage.py", "sampler"],
    }
    if settings.REDIS_URL:
        chosen["beat"] = [*celery, "beat", "--loglevel", "WARNING"]
        chosen["worker"] = [*celery, "worker", "--loglevel", "WARNING", "--pool", "solo"]
        chosen["worker"] += ["--concurrency", "1", "--queues", settings.MAINTENANCE_QUEUE]
        chosen["worker"] += ["--hostname", "maintenance@%h", "--without-gossip"]
        chosen["worker"] += ["--without-mingle", "--without-heartbeat"]
    return chosen


def gunicorn_options() -> list[str]:
    """Return gunicorn's options: two processes of four threads, no files outside /dev/shm."""
    options = ["--bind", joined(settings.PERFWATCH_HOST, settings.PERFWATCH_PORT)]
    options += ["--workers", "2", "--threads", "4"]
    options += ["--config", "python:perfwatch_site.web_worker"]
    options += ["--worker-class", "perfwatch_site.web_worker.Worker"]
    options += ["--graceful-timeout", "3", "--timeout", "30", "--log-level", "warning"]
    # Series are named one by one in addresses.
    options += ["--limit-request-line", "8190"]
    # Django decides whom to believe (PERFWATCH_TRUSTED_PROXIES).
    options += ["--forwarded-allow-ips", "", "--error-logfile", "-", "--no-control-socket"]
    if Path("/dev/shm").is_dir():  # noqa: S108  gunicorn makes its own file there
        options += ["--worker-tmp-dir", "/dev/shm"]  # noqa: S108
    return options


def joined(host: str, port: int) -> str:
    """Return host:port, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(host: str) -> str:
    """Return the address under which this host reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def host_header(address: str) -> str:
    """Return a Host that ALLOWED_HOSTS lets pass, for our own question to /healthz."""
    named = [host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"]
    wanted = urlsplit(settings.PERFWATCH_BASE_URL).hostname or address
    return wanted if wanted in named or not named else named[0]


def check_port(host: str, port: int) -> None:
    """Raise CommandError where no server could listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            where = joined(host, port)
            if error.errno == errno.EADDRINUSE:
                text = f"{where} is in use by another program; choose another PERFWATCH_PORT."
            elif error.errno == errno.EACCES:
                text = f"{where} is for root only; choose a PERFWATCH_PORT from 1024 on."
            else:
                text = f"Cannot listen on {where} (PERFWATCH_HOST): {error.strerror}."
            raise CommandError(text) from error


def stop(pid_file: Path) -> str:
    """End the PerfWatch that runs and wait until it is gone; return what to tell."""
    try:
        holder = running(pid_file)
    except OSError as error:
        raise unusable(pid_file, error) from error
    if not holder or not holder.process:
        return "PerfWatch is not running."
    try:
        os.kill(holder.process, signal.SIGTERM)
    except PermissionError as error:
        raise CommandError(f"Process {holder.process} belongs to another user.") from error
    except ProcessLookupError:
        pass
    deadline = time.monotonic() + STOP_LIMIT
    while running(pid_file):
        if time.monotonic() > deadline:
            raise CommandError(f"Process {holder.process} is still there; kill -9 would end it.")
        time.sleep(0.05)
    return "PerfWatch has stopped."


def unusable(pid_file: Path, error: OSError) -> CommandError:
    """Return what to tell about a pid file that this process may not use."""
    return CommandError(
        f"Cannot use {pid_file}: {error.strerror}. Run this as the owner of the file and its "
        "directory, or delete the file if no PerfWatch runs."
    )


def hand_over(admin: FirstAdmin, directory: Path) -> None:
    """Tell a generated password to the terminal, else to a file that the log names."""
    if not admin.generated:
        logger.info("Created the administrator %s.", admin.username)
    elif sys.stdout.isatty():
        sys.stdout.write(
            f"Log in as {admin.username} with the password {admin.password} (shown only once).\n"
        )
    else:
        path = directory / "initial-admin-password"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{admin.password}\n")
        logger.info("Created the administrator %s; the password is in %s.", admin.username, path)
