"""What does not change while a host runs: the row `system_info` of `config`."""

import platform
from datetime import UTC, datetime
from typing import Any

import psutil

from metrics.kernel.container import is_container
from metrics.kernel.files import read_once
from metrics.kernel.host import Host, identity
from perfwatch_site import __version__


def system_info(host: Host) -> dict[str, Any]:
    """Return who and what the host is; None for what it does not say.

    psutil reads most of it: that happens once, and its cost does not show. Memory is in bytes,
    `boot_time` in UTC, `threads` are what the scheduler sees and `cores` what is behind them.
    """
    psutil.PROCFS_PATH = host.procfs
    boot = datetime.fromtimestamp(psutil.boot_time(), UTC)
    paranoid = read_once(host.proc("sys/kernel/perf_event_paranoid"))
    return {
        "hostname": identity(host).name,
        "kernel": read_once(host.proc("sys/kernel/osrelease")) or platform.release(),
        "architecture": platform.machine(),
        "cpu_model": _cpu_model(host),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "boot_time": boot.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "perf_event_paranoid": int(paranoid) if paranoid else None,
        "container": is_container(),
        "perfwatch_version": __version__,
    }


def _cpu_model(host: Host) -> str | None:
    for line in (read_once(host.proc("cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model", "cpu"}:
            return value.strip()
    return None
