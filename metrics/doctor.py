"""What this host can and cannot tell PerfWatch, and what to do about it. Looks, changes nothing."""

import os
import shutil
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from metrics.collectors import lookup
from metrics.collectors.fields import Unit
from metrics.configuration import Invalid, check
from metrics.formats import duration, text_of
from metrics.freshness import State, freshness
from metrics.kernel.capabilities import capabilities, clock_is_synchronised
from metrics.kernel.cpus import online_cpus
from metrics.kernel.files import read_once
from metrics.kernel.perf import Counters
from metrics.kernel.perf_table import EVENTS
from metrics.models import ArchivePolicy, Config
from metrics.querysets import settings_of, snapshots
from metrics.sampling import Sampler
from metrics.system_info import system_info
from metrics.watched import watched_host

LOOK_SECONDS = 1.0
"""Between the two samples that are taken to see what collectors say and cost."""

LEAST_FREE = {"warning": 2_000_000_000, "failed": 200_000_000}
LOCAL = {"", "localhost", "127.0.0.1", "::1"}

POSTGRESQL = {
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "64MB",
    "checkpoint_completion_target": "0.9",
    "wal_buffers": "16MB",
    "default_statistics_target": "100",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
}
"""What docs/operations.md recommends, and why."""


class Level(StrEnum):
    """How much a finding matters; only the last one makes the exit status 1."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """One line: what was looked at, what it says, and the remedy where one is needed."""

    section: str
    name: str
    level: Level
    text: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Look at everything, in the order in which people read it."""
    yield from _host()
    yield from _collectors()
    yield from _perf()
    has_database = False
    for found in _database():
        yield found
        has_database |= (found.name, found.level) == ("migrations", Level.OK)
    yield from _broker()
    yield _disk_space()
    if has_database:
        yield from _configuration()
        yield _newest_sample()


def _host() -> Iterator[Finding]:
    try:
        info = system_info(watched_host())
    except (OSError, RuntimeError, ValueError) as fault:
        text = f"{settings.PERFWATCH_PROCFS} cannot be read: {fault}"
        yield Finding("host", "kernel", Level.FAILED, text, "Look at PERFWATCH_PROCFS.")
        return
    place = "in a container" if info["container"] else "not in a container"
    yield Finding(
        "host",
        "kernel",
        Level.OK,
        f"{info['kernel']} {info['architecture']}, {place}; {info['cpu_model']},"
        f" {info['threads']} CPUs, {text_of(info['memory_bytes'], Unit.BYTES)}",
    )
    redirected = [
        f"{name}={value}"
        for name, usual in (("PROCFS", "/proc"), ("SYSFS", "/sys"), ("ROOTFS", "/"))
        if (value := getattr(settings, f"PERFWATCH_{name}")) != usual
    ]
    if redirected:
        text = ", ".join(f"PERFWATCH_{one}" for one in redirected)
        yield Finding("host", "roots", Level.OK, f"those of another place: {text}")
    elif info["container"]:
        yield Finding(
            "host",
            "roots",
            Level.WARNING,
            "those of the container: network, disks and filesystems are not the host's.",
            "Mount the host's /proc, /sys and / and name them in PERFWATCH_PROCFS, _SYSFS and"
            " _ROOTFS.",
        )
    synchronised = clock_is_synchronised()
    source = read_once(
        watched_host().sys("devices/system/clocksource/clocksource0/current_clocksource")
    )
    yield Finding(
        "host",
        "clock",
        Level.NOTE if synchronised is False else Level.OK,
        ("nothing keeps it" if synchronised is False else "kept by a time service")
        + f"; source {source or 'unknown'}",
        "Let chrony or systemd-timesyncd set it, unless the hypervisor does."
        if synchronised is False
        else "",
    )


def _collectors() -> Iterator[Finding]:
    sampler = Sampler(watched_host())
    try:
        features = _features()
        sampler.sample(features=features)
        time.sleep(LOOK_SECONDS)
        data = sampler.sample(features=features).data
    finally:
        sampler.close()
    for name, status in data["sampler"]["status"].items():
        cost = f"{data['sampler']['collect_ms'][name]:.2f} ms a sample"
        level = Level.OK
        if status != "ok":
            level = Level.NOTE if status.startswith("no data") else Level.FAILED
        yield Finding("collectors", name, level, cost if level is Level.OK else status)
    for name, path, why in (
        ("pressure", "pressure.cpu.some_avg10", "start the kernel with psi=1"),
        ("temperature", "cpu.temperature_celsius", "virtual machines have no sensor"),
        ("frequency", "cpu.frequency_mhz", "virtual machines often hide it"),
    ):
        value = lookup(data, path)
        yield Finding(
            "fields",
            name,
            Level.NOTE if value is None else Level.OK,
            f"not known: {why}" if value is None else f"{path} = {value:g}",
        )


def _features() -> dict[str, Any]:
    try:
        found = settings_of("features").get("features") if _database_is_there() else None
    except DatabaseFault:
        found = None
    return found if isinstance(found, dict) else {}


def _perf() -> Iterator[Finding]:
    host = watched_host()
    paranoid = read_once(host.proc("sys/kernel/perf_event_paranoid"))
    rights = capabilities()
    yield Finding(
        "counters",
        "permission",
        Level.OK,
        f"kernel.perf_event_paranoid is {paranoid or 'unknown'}; this process, of user"
        f" {os.geteuid()}, has {' and '.join(rights) or 'neither PERFMON nor SYS_ADMIN'}",
    )
    devices = Path(host.sys("bus/event_source/devices"))
    pmus = sorted(path.name for path in devices.iterdir()) if devices.is_dir() else []
    yield Finding("counters", "PMUs", Level.OK, ", ".join(pmus) or "none")
    counters = Counters(host)
    try:
        counts = counters.read(online_cpus(host)())
    except OSError as fault:
        yield Finding("counters", "events", Level.WARNING, f"The CPUs are not known: {fault}")
        return
    finally:
        counters.close()
    if not counts.groups:
        text = next((why.sentence for why in counts.missing.values()), "Nothing can be counted.")
        yield Finding("counters", "events", Level.WARNING, text)
        return
    for event in EVENTS:
        why = counts.missing.get(event.name)
        yield Finding(
            "counters",
            event.name,
            Level.NOTE if why else Level.OK,
            why.words if why else "counted on each CPU",
        )
    for sentence in dict.fromkeys(why.sentence for why in counts.missing.values()):
        yield Finding("counters", "why", Level.NOTE, sentence)


def _database() -> Iterator[Finding]:
    name = connection.settings_dict["NAME"]
    if not _database_is_there():
        yield Finding(
            "database",
            "file",
            Level.FAILED,
            f"{name} does not exist.",
            "`make run` or `manage.py migrate` makes it.",
        )
        return
    try:
        yield from _postgresql() if connection.vendor == "postgresql" else _sqlite(str(name))
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseFault as fault:
        reason = str(fault).strip().partition("\n")[0]
        yield Finding(
            "database", "connection", Level.FAILED, reason, "Look at DATABASE_URL and the server."
        )
        return
    names = ", ".join(f"{one.app_label}.{one.name}" for one, _ in missing)
    yield Finding(
        "database",
        "migrations",
        Level.FAILED if missing else Level.OK,
        f"not applied: {names}" if missing else "all applied",
        "`manage.py migrate` applies them." if missing else "",
    )


def _database_is_there() -> bool:
    return connection.vendor != "sqlite" or Path(str(connection.settings_dict["NAME"])).exists()


def _sqlite(name: str) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        (version,) = cursor.execute("SELECT sqlite_version()").fetchone()
        (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
    size = text_of(Path(name).stat().st_size, Unit.BYTES)
    yield Finding("database", "SQLite", Level.OK, f"{version}, {name}, {size}")
    if mode != "wal":
        yield Finding(
            "database",
            "journal",
            Level.WARNING,
            f"journal_mode is {mode}: readers and the sampler block each other.",
            "Put the file on a local disk; network filesystems have no write-ahead log.",
        )
    if not os.access(name, os.W_OK) or not os.access(Path(name).parent, os.W_OK):
        yield Finding(
            "database",
            "writable",
            Level.FAILED,
            f"this user may not write {name} and its folder.",
            "Run as the user that `make run` runs as, or change the owner.",
        )


def _postgresql() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), pg_database_size(current_database()),"
            " current_setting('is_superuser') = 'on', current_user"
        )
        version, size, is_superuser, user = cursor.fetchone()
        cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        tls, protocol = cursor.fetchone() or (False, None)
        cursor.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)",
            [list(POSTGRESQL)],
        )
        current = dict(cursor.fetchall())
    yield Finding("database", "PostgreSQL", Level.OK, f"{version}, {text_of(size, Unit.BYTES)}")
    host = connection.settings_dict["HOST"]
    is_local = host in LOCAL or host.startswith("/")
    yield Finding(
        "database",
        "TLS",
        Level.OK if tls or is_local else Level.WARNING,
        str(protocol) if tls else "off" + ("; the server is on this host" if is_local else ""),
        "" if tls or is_local else "Add sslmode=verify-full&sslrootcert=… to DATABASE_URL.",
    )
    yield Finding(
        "database",
        "user",
        Level.WARNING if is_superuser else Level.OK,
        f"{user} is a superuser" if is_superuser else f"{user} is no superuser",
        "Give PerfWatch a user of its own that owns its database." if is_superuser else "",
    )
    for name, wanted in POSTGRESQL.items():
        if current.get(name) != wanted:
            yield Finding(
                "database",
                name,
                Level.NOTE,
                f"{current.get(name, 'unknown')}; docs/operations.md starts from {wanted}",
            )


def _broker() -> Iterator[Finding]:
    url = settings.REDIS_URL
    if not url:
        yield Finding("broker", "Redis", Level.OK, "not used: REDIS_URL is not set")
        return
    host = urlsplit(url).hostname or ""
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
        version = client.info("server")["redis_version"]
    except (redis.RedisError, OSError) as fault:
        reason = str(fault).strip().partition("\n")[0]
        yield Finding(
            "broker",
            "Redis",
            Level.FAILED,
            f"{host}: {reason}",
            "Look at REDIS_URL and the server.",
        )
        return
    is_plain = not url.startswith("rediss:") and host not in LOCAL
    yield Finding("broker", "Redis", Level.OK, f"{version} on {host}")
    if is_plain:
        yield Finding(
            "broker",
            "TLS",
            Level.NOTE,
            "off: anyone on the way can read and send tasks.",
            "Use rediss:// unless the network between is yours alone.",
        )


def _disk_space() -> Finding:
    folder = next(
        path
        for path in (settings.PERFWATCH_DATA_DIR, *settings.PERFWATCH_DATA_DIR.parents)
        if path.exists()
    )
    usage = shutil.disk_usage(folder)
    level = next(
        (Level(name) for name in ("failed", "warning") if usage.free < LEAST_FREE[name]), Level.OK
    )
    return Finding(
        "disk space",
        "data folder",
        level,
        f"{text_of(usage.free, Unit.BYTES)} of {text_of(usage.total, Unit.BYTES)} free for"
        f" {settings.PERFWATCH_DATA_DIR}",
        "Remember for a shorter time (/settings/), or make room." if level is not Level.OK else "",
    )


def _configuration() -> Iterator[Finding]:
    rows = {row.key: row.value for row in Config.objects.filter(key__in=("sampling", "features"))}
    for key in ("sampling", "features"):
        value = rows.get(key)
        try:
            check(key, value)
        except Invalid as fault:
            yield Finding(
                "configuration", key, Level.FAILED, str(fault), "Mend it on the settings page."
            )
        else:
            text = ", ".join(f"{name} {one}" for name, one in (value or {}).items())
            yield Finding("configuration", key, Level.OK, text)
    policy = ArchivePolicy.current()
    text = f"{policy.retention_days} days"
    if policy.downsample_after_days < policy.retention_days:
        text += f", one row per {policy.downsample_interval} after {policy.downsample_after_days}"
    yield Finding("configuration", "retention", Level.OK, text)
    if settings.DEBUG:
        yield Finding(
            "configuration",
            "DEBUG",
            Level.WARNING,
            "is on: pages of errors show settings and code.",
            "Take DEBUG out of the environment.",
        )


def _newest_sample() -> Finding:
    rows, interval = snapshots().sampled_live().newest()
    fresh = freshness(rows[0].timestamp if rows else None, interval, timezone.now())
    if fresh.state is State.EMPTY:
        return Finding(
            "samples", "newest", Level.WARNING, "there is none yet.", "`make run` starts sampling."
        )
    stale = fresh.state is State.STALE
    return Finding(
        "samples",
        "newest",
        Level.FAILED if stale else Level.OK,
        f"{duration(fresh.age)} old" + ("" if interval is None else f", one every {interval} s"),
        "The sampler does not run, or the clock was set: `make run`, or look at its log."
        if stale
        else "",
    )
