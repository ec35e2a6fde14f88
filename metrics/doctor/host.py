"""The host, its collectors and its disk."""

import shutil
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings

from metrics.collectors import lookup
from metrics.collectors.fields import Unit
from metrics.doctor.base import Finding, Level
from metrics.formats import text_of
from metrics.kernel.capabilities import clock_is_synchronised
from metrics.kernel.files import read_once
from metrics.sampling import Sampler
from metrics.system_info import system_info
from metrics.watched import watched_host

LOOK_SECONDS = 1.0
"""Between the two samples that are taken to see what collectors say and cost."""

PLACES = {True: "in a container", False: "not in a container", None: "perhaps in a container"}
LEAST_FREE = {"warning": 2_000_000_000, "failed": 200_000_000}


def look() -> Iterator[Finding]:
    """Look at the kernel, the roots and the clock."""
    try:
        info = system_info(watched_host())
    except (OSError, RuntimeError, ValueError) as fault:
        text = f"{settings.PERFWATCH_PROCFS} cannot be read: {fault}"
        yield Finding("host", "kernel", Level.FAILED, text, "Look at PERFWATCH_PROCFS.")
        return
    place = PLACES[info["container"]]
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


def look_at_collectors(features: dict[str, Any]) -> Iterator[Finding]:
    """Take two samples and see what each collector says of them, and what some fields are."""
    sampler = Sampler(watched_host())
    try:
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


def look_at_disk_space() -> Finding:
    """See how much is free where PerfWatch writes."""
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
