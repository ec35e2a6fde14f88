"""A host that is not there: what its next sample says. Pure."""

import math
import random
import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from metrics.collectors.base import Document
from metrics.importing.base import PARTS, empty_document

SOURCE = "demo"
INTERVAL = 60
NAMESPACE = uuid.UUID("0a3a3c6e-9d5e-4d53-8f8e-0c5a6a3f2b11")
GIB = 1 << 30
CORES, MEMORY, SWAP, ROOT_FS, DATA_FS = 8, 32 * GIB, 4 * GIB, 100 * GIB, 500 * GIB
WORK_BEGINS, WORK_ENDS = 8, 18


class Incident(NamedTuple):
    """Something that happens every so many days, by UTC: when, for how long, and what it does.

    The effects are added to what is normal, in per cent or as a factor of `traffic` and `disk`.
    """

    name: str
    process: str
    every: int
    hour: float
    minutes: int
    cpu: float = 0
    iowait: float = 0
    steal: float = 0
    memory: float = 0
    traffic: float = 1
    disk: float = 1


INCIDENTS = (
    Incident("nightly backup", "restic", 1, 2.0, 50, cpu=12, iowait=9, disk=14),
    Incident("newsletter goes out", "nginx", 7, 9.5, 70, cpu=38, traffic=7),
    Incident("report that scans a table", "postgres", 5, 14.25, 35, cpu=22, iowait=26, disk=18),
    Incident("memory leak of a worker", "celery", 9, 6.0, 600, cpu=4, memory=45),
    Incident("noisy neighbour", "kvm", 6, 20.0, 90, steal=22),
    Incident("runaway log rotation", "gzip", 11, 4.0, 130, cpu=55, iowait=6, disk=5),
)


def is_due(incident: Incident, day: datetime) -> bool:
    """Whether it happens on a day."""
    return day.toordinal() % incident.every == len(incident.name) % incident.every


def current(at: datetime) -> Incident | None:
    """Return the incident of a moment; where there are two, the one that is rarer."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    minute = (at - day).total_seconds() / 60
    found = [
        one for one in INCIDENTS if is_due(one, day) and 0 <= minute - one.hour * 60 < one.minutes
    ]
    return max(found, key=lambda one: one.every, default=None)


def rhythm(at: datetime) -> float:
    """Return how busy people are, from 0 to 1: office hours, quiet nights, quieter weekends."""
    hour = at.hour + at.minute / 60
    middle = (WORK_BEGINS + WORK_ENDS) / 2
    day = math.exp(-(((hour - middle) / 4.2) ** 2)) - 0.25 * math.exp(-(((hour - 12.5) / 0.6) ** 2))
    return max(0.05, day * (1 if at.weekday() < 5 else 0.35))


class Host:
    """What goes on from one sample to the next: noise, counters, how full the disks are."""

    def __init__(self, start: datetime) -> None:
        self._random = random.Random(start.toordinal())  # noqa: S311
        self._booted = start - timedelta(days=12)
        self._noise = dict.fromkeys(("cpu", "traffic", "disk", "memory"), 0.0)
        self._counters = dict.fromkeys(
            (
                *("bytes_recv", "bytes_sent", "packets_recv", "packets_sent"),
                *("read_bytes", "write_bytes", "read_count", "write_count"),
            ),
            0,
        )
        self._load = [0.6, 0.6, 0.6]
        self._used = 0.61

    def sample(self, at: datetime) -> Document:
        """Return the document of a moment."""
        incident = current(at) or Incident("", "nginx", 0, 0, 0)
        for name, old in self._noise.items():
            self._noise[name] = 0.9 * old + self._random.gauss(0, 0.06)
        document = empty_document()
        document["timestamp"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        busy = rhythm(at)
        self._cpu(document["cpu"], busy, incident)
        self._memory(document, busy, incident, at)
        self._network(document["network"], busy, incident)
        self._disk(document["disk"], busy, incident)
        self._rest(document, incident, at)
        return document

    def _cpu(self, cpu: Document, busy: float, incident: Incident) -> None:
        work = max(1.0, (4 + 34 * busy) * (1 + self._noise["cpu"]) + incident.cpu)
        iowait = max(0.0, 0.4 + incident.iowait * (1 + self._noise["disk"]))
        steal = incident.steal * (1 + self._noise["cpu"])
        work = min(work, 97 - iowait - steal)
        modes = {"user": 0.72 * work, "system": 0.22 * work, "nice": 0.02 * work}
        modes |= {"softirq": 0.03 * work, "irq": 0.01 * work, "iowait": iowait, "steal": steal}
        for name, value in modes.items():
            cpu[f"{name}_percent"] = round(value, 2)
        cpu["guest_percent"] = 0.0
        cpu["idle_percent"] = round(100 - work - iowait - steal, 2)
        cpu["usage_percent"] = usage = round(work + steal, 2)
        spread = [self._random.gauss(1, 0.18) for _ in range(CORES)]
        cpu["per_core"] = [round(min(100.0, max(0.2, usage * one)), 2) for one in spread]
        tasks = CORES * (usage + iowait) / 100
        for index, minutes in enumerate((1, 5, 15)):
            self._load[index] += (tasks - self._load[index]) / (minutes + 1)
            cpu[f"load_avg_{minutes}m"] = round(self._load[index], 2)
        cpu["core_count"] = CORES
        cpu["frequency_mhz"] = round(1400 + 22 * min(usage, 80), 1)
        cpu["temperature_celsius"] = round(38 + 0.4 * usage, 1)
        cpu["context_switches_per_sec"] = round(2_000 + 260 * usage, 1)
        cpu["interrupts_per_sec"] = round(1_200 + 140 * usage, 1)
        cpu["forks_per_sec"] = round(2 + usage / 9, 2)
        cpu["procs_running"] = 1 + round(tasks)
        cpu["procs_blocked"] = round(iowait / 12)

    def _memory(self, document: Document, busy: float, incident: Incident, at: datetime) -> None:
        memory = document["memory"]
        minute = at.hour * 60 + at.minute - incident.hour * 60
        leak = incident.memory * minute / incident.minutes if incident.memory else 0
        percent = min(96.0, 34 + 12 * busy + 4 * self._noise["memory"] + leak)
        used = round(MEMORY * percent / 100)
        free = round((MEMORY - used) * 0.2)
        swapped = round(SWAP * max(0.0, percent - 70) / 40)
        memory |= {
            "total_bytes": MEMORY,
            "available_bytes": MEMORY - used,
            "used_bytes": used,
            "percent": round(100 * used / MEMORY, 2),
            "free_bytes": free,
            "cached_bytes": MEMORY - used - free,
            "buffers_bytes": 310 << 20,
            "shared_bytes": 180 << 20,
            "slab_bytes": 900 << 20,
            "anon_bytes": round(used * 0.85),
            "dirty_bytes": round((4 + 30 * busy) * (1 << 20)),
            "swap_total_bytes": SWAP,
            "swap_used_bytes": swapped,
            "swap_percent": round(100 * swapped / SWAP, 2),
        }
        faults = 900 + 6_000 * busy
        document["memory_bandwidth"] |= {
            "pgfault_per_sec": round(faults, 1),
            "pgmajfault_per_sec": round(swapped / SWAP * 90, 1),
            "pswpin_per_sec": round(swapped / SWAP * 60, 1),
            "pswpout_per_sec": round(swapped / SWAP * 80, 1),
            "oom_kills_per_sec": 0.0,
        }

    def _network(self, network: Document, busy: float, incident: Incident) -> None:
        factor = max(0.05, busy * (1 + 2 * self._noise["traffic"])) * incident.traffic
        rates = {"bytes_recv": 900_000 * factor, "bytes_sent": 5_200_000 * factor}
        rates |= {"packets_recv": 2_100 * factor, "packets_sent": 4_300 * factor}
        for name, value in rates.items():
            self._counters[name] += round(value * INTERVAL)
            network[name] = self._counters[name]
            network[f"{name}_per_sec"] = round(value, 1)
        quiet = ("errin", "errout", "dropin", "dropout")
        network |= dict.fromkeys(quiet, 0) | {f"{name}_per_sec": 0.0 for name in quiet}
        network["interfaces"]["eth0"] = {
            "bytes_recv": network["bytes_recv"],
            "bytes_sent": network["bytes_sent"],
            **{f"{name}_per_sec": round(value, 1) for name, value in rates.items()},
            **{f"{what}_{way}_per_sec": 0.0 for what in ("errors", "drops") for way in _WAYS},
            "is_up": True,
            "speed_mbps": 1_000,
        }
        network["sockets_used"] = round(240 + 500 * factor)
        network["tcp"] |= {
            "established": round(40 + 320 * factor),
            "time_wait": round(15 + 140 * factor),
            "retransmits_per_sec": round(0.2 + factor / 2, 2),
            "resets_per_sec": round(0.1 + factor / 5, 2),
            "listen_drops_per_sec": 0.0,
        }

    def _disk(self, disk: Document, busy: float, incident: Incident) -> None:
        factor = (0.15 + busy) * max(0.2, 1 + self._noise["disk"]) * incident.disk
        rates = {"read_bytes": 1_400_000 * factor, "write_bytes": 2_600_000 * factor}
        rates |= {"read_count": 45 * factor, "write_count": 110 * factor}
        named = {"read_count": "read_iops", "write_count": "write_iops"}
        shown = {}
        for name, value in rates.items():
            self._counters[name] += round(value * INTERVAL)
            disk[name] = self._counters[name]
            shown[named.get(name, f"{name}_per_sec")] = round(value, 1)
        disk |= shown
        utilisation = min(99.0, 4 * factor)
        wait = 0.4 + utilisation / 30
        disk["devices"]["nvme0n1"] = shown | {
            "read_await_ms": round(wait, 2),
            "write_await_ms": round(1.6 * wait, 2),
            "util_percent": round(utilisation, 2),
            "queue_length": round(factor / 6, 2),
        }
        # It fills up by half a per cent a day and is tidied at 88 %.
        self._used = 0.61 if self._used > 0.88 else self._used + 0.005 * INTERVAL / 86_400
        for mount, total, share in (("/", ROOT_FS, 0.42), ("/srv", DATA_FS, self._used)):
            disk["partitions"][mount] = {
                "total_bytes": total,
                "used_bytes": round(total * share),
                "free_bytes": total - round(total * share),
                "percent": round(100 * share, 2),
                "inodes_percent": round(30 * share, 2),
                "fstype": "ext4",
                "device": "/dev/nvme0n1p2" if mount == "/" else "/dev/nvme0n1p3",
                "read_only": False,
            }
        bandwidth = {"pgpgin": shown["read_bytes_per_sec"], "pgpgout": shown["write_bytes_per_sec"]}
        self._paging = {f"{name}_per_sec": round(v / 1024, 1) for name, v in bandwidth.items()}

    def _rest(self, document: Document, incident: Incident, at: datetime) -> None:
        cpu, disk = document["cpu"], document["disk"]["devices"]["nvme0n1"]
        document["memory_bandwidth"] |= self._paging
        waits = {
            "cpu": {"some": cpu["usage_percent"] / 6 + cpu["steal_percent"]},
            "memory": {"some": document["memory"]["swap_percent"] / 8},
            "io": {"some": cpu["iowait_percent"] * 1.2 + disk["util_percent"] / 20},
        }
        for kind in ("memory", "io"):
            waits[kind]["full"] = 0.6 * waits[kind]["some"]
        for kind, lines in waits.items():
            for line, share in lines.items():
                for name in ("avg10", "avg60", "avg300", "stall_percent"):
                    document["pressure"][kind][f"{line}_{name}"] = round(min(share, 100), 2)
        rank = {"pid": 1_000 + len(incident.process), "name": incident.process, "user": "www-data"}
        rank |= {"cpu_percent": round(cpu["usage_percent"] * 0.7, 2), "rss_bytes": 2 * GIB}
        document["processes"] = {"top_cpu": {"1": rank}, "top_memory": {"1": rank}}
        document["host"] |= {
            "name": "demo",
            "uptime_seconds": round((at - self._booted).total_seconds(), 2),
        }
        document["sampler"] = {
            "id": str(uuid.uuid5(NAMESPACE, at.isoformat())),
            "interval_seconds": INTERVAL,
            "source": SOURCE,
            "status": dict.fromkeys(PARTS, "ok")
            | {"perf_events": "no data: invented days have no counters."},
            **({"incident": incident.name} if incident.name else {}),
        }


_WAYS = ("recv", "sent")
