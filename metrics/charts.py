"""The catalogue of charts: which fields are drawn, where, in which colour. Data, read by all pages.

The colours have fixed meanings: a series has the same one on every page.
"""

from dataclasses import dataclass

COLOURS = ("blue", "vermillion", "green", "purple", "sky", "amber", "rose", "grey")
"""Of devices, in this order; the next eight are the same, dashed."""

MOST_LINES = 8
"""More lines than this are drawn at once only when somebody asked for them."""


@dataclass(frozen=True)
class Line:
    """One series of a chart; with a `*`, one for each device, in a colour of the device's own.

    `sign` -1 draws it below zero.
    """

    series: str
    label: str
    colour: str = ""
    sign: int = 1
    filled: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Devices:
    """What a chart is drawn for, one by one. `key` is its parameter of the page's address.

    The most active are those for which the fields `rank` add up to most.
    """

    key: str
    title: str
    rank: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """One chart.

    `maximum` is a number or the series that holds it; None lets the data decide. `needs` is a
    series without which there is nothing to draw: no number, or 0 of it. A `strip` has a row for
    each device, the darker the higher up to `maximum`, instead of lines. `certainty` is a series
    in percent: where it is below half, the lines are an estimate and look like one.
    """

    key: str
    title: str
    group: str
    lines: tuple[Line, ...]
    stacked: bool = False
    maximum: float | str | None = None
    devices: Devices | None = None
    needs: str = ""
    strip: bool = False
    certainty: str = ""


CORES = Devices("core", "CPUs", ("cpu.per_core.*",))
DISKS = Devices("disk", "Disks", ("disk.devices.*.util_percent",))
FILESYSTEMS = Devices("filesystem", "Filesystems", ("disk.partitions.*.percent",))
INTERFACES = Devices(
    "interface",
    "Interfaces",
    (
        "network.interfaces.*.bytes_recv_per_sec",
        "network.interfaces.*.bytes_sent_per_sec",
    ),
)
COLLECTORS = Devices("collector", "Collectors", ("sampler.collect_ms.*",))

DEVICES = (CORES, DISKS, FILESYSTEMS, INTERFACES, COLLECTORS)


def _per_disk(key: str, title: str, *leaves: str, maximum: float | None = None) -> Chart:
    """Lines of each disk: of one leaf, or of what is read and, below zero, what is written."""
    signs = {leaf: -1 if leaf.startswith("write_") else 1 for leaf in leaves}
    labels = {1: "read", -1: "written"} if len(leaves) > 1 else {1: ""}
    lines = tuple(Line(f"disk.devices.*.{leaf}", labels[s], sign=s) for leaf, s in signs.items())
    return Chart(key, title, "Disk", lines, maximum=maximum, devices=DISKS)


def _counted(key: str, title: str, *lines: Line, needs: str = "perf_events.ipc") -> Chart:
    """Lines of the CPUs' own counters, which are an estimate where they had to share them."""
    certainty = "perf_events.running_percent"
    return Chart(key, title, "Counters", lines, needs=needs, certainty=certainty)


CHARTS: tuple[Chart, ...] = (
    Chart(
        "cpu",
        "CPU",
        "CPU",
        (
            Line("cpu.user_percent", "user", "blue"),
            Line("cpu.nice_percent", "nice", "sky"),
            Line("cpu.system_percent", "system", "vermillion"),
            Line("cpu.irq_percent", "irq", "purple"),
            Line("cpu.softirq_percent", "softirq", "purple-light"),
            Line("cpu.iowait_percent", "iowait", "amber"),
            Line("cpu.steal_percent", "steal", "rose"),
        ),
        stacked=True,
        maximum=100.0,
    ),
    Chart(
        "cores",
        "CPUs one by one",
        "CPU",
        (Line("cpu.per_core.*", "", "blue"),),
        maximum=100.0,
        devices=CORES,
        strip=True,
    ),
    Chart(
        "load",
        "Load",
        "CPU",
        (
            Line("cpu.load_avg_1m", "1 min", "blue", filled=True),
            Line("cpu.load_avg_5m", "5 min", "green"),
            Line("cpu.load_avg_15m", "15 min", "purple"),
        ),
    ),
    Chart(
        "tasks",
        "Tasks",
        "CPU",
        (
            Line("cpu.procs_running", "running", "blue", filled=True),
            Line("cpu.procs_blocked", "blocked", "amber"),
        ),
    ),
    Chart(
        "switches",
        "Context switches and interrupts",
        "CPU",
        (
            Line("cpu.context_switches_per_sec", "context switches", "blue"),
            Line("cpu.interrupts_per_sec", "interrupts", "purple"),
            Line("cpu.forks_per_sec", "forks", "green"),
        ),
    ),
    Chart(
        "frequency",
        "Frequency",
        "CPU",
        (Line("cpu.frequency_mhz", "mean", "green"),),
        needs="cpu.frequency_mhz",
    ),
    Chart(
        "temperature",
        "Temperature",
        "CPU",
        (Line("cpu.temperature_celsius", "hottest", "vermillion"),),
        needs="cpu.temperature_celsius",
    ),
    Chart(
        "memory",
        "Memory",
        "Memory",
        # Not stacked: shared memory counts as cached and is not available, so it is in both.
        (
            Line("memory.used_bytes", "used", "blue", filled=True),
            Line("memory.cached_bytes", "cached", "sky"),
            Line("memory.buffers_bytes", "buffers", "green"),
            Line("memory.swap_used_bytes", "swap", "rose"),
        ),
        maximum="memory.total_bytes",
    ),
    Chart(
        "memory-parts",
        "What uses memory",
        "Memory",
        (
            Line("memory.anon_bytes", "programs", "blue"),
            Line("memory.shared_bytes", "shared", "purple"),
            Line("memory.mapped_bytes", "mapped files", "sky"),
            Line("memory.slab_bytes", "kernel slab", "vermillion"),
            Line("memory.page_tables_bytes", "page tables", "grey"),
            Line("memory.dirty_bytes", "dirty", "amber"),
            Line("memory.writeback_bytes", "writeback", "rose"),
        ),
    ),
    Chart(
        "committed",
        "Promised memory",
        "Memory",
        (
            Line("memory.committed_bytes", "committed", "blue", filled=True),
            Line("memory.commit_limit_bytes", "limit", "grey", dashed=True),
        ),
    ),
    Chart(
        "swap",
        "Swap",
        "Memory",
        (Line("memory.swap_used_bytes", "used", "rose", filled=True),),
        maximum="memory.swap_total_bytes",
        needs="memory.swap_total_bytes",
    ),
    Chart(
        "hugepages",
        "Huge pages",
        "Memory",
        (
            Line("memory.hugepages_total", "total", "grey", dashed=True),
            Line("memory.hugepages_free", "free", "green"),
        ),
        needs="memory.hugepages_total",
    ),
    _per_disk("disk", "Disk throughput", "read_bytes_per_sec", "write_bytes_per_sec"),
    _per_disk("disk-util", "Disk utilisation", "util_percent", maximum=100.0),
    _per_disk("disk-iops", "Disk operations", "read_iops", "write_iops"),
    _per_disk("disk-await", "Disk response time", "read_await_ms", "write_await_ms"),
    _per_disk("disk-queue", "Disk queue", "queue_length"),
    Chart(
        "filesystems",
        "Filesystems: space",
        "Disk",
        (Line("disk.partitions.*.percent", ""),),
        maximum=100.0,
        devices=FILESYSTEMS,
    ),
    Chart(
        "inodes",
        "Filesystems: inodes",
        "Disk",
        (Line("disk.partitions.*.inodes_percent", ""),),
        maximum=100.0,
        devices=FILESYSTEMS,
    ),
    Chart(
        "network",
        "Network",
        "Network",
        (
            Line("network.bytes_recv_per_sec", "received", "blue", filled=True),
            Line("network.bytes_sent_per_sec", "sent", "vermillion", sign=-1, filled=True),
        ),
    ),
    Chart(
        "interfaces",
        "Interfaces",
        "Network",
        (
            Line("network.interfaces.*.bytes_recv_per_sec", "received"),
            Line("network.interfaces.*.bytes_sent_per_sec", "sent", sign=-1),
        ),
        devices=INTERFACES,
    ),
    Chart(
        "packets",
        "Packets",
        "Network",
        (
            Line("network.packets_recv_per_sec", "received", "blue", filled=True),
            Line("network.packets_sent_per_sec", "sent", "vermillion", sign=-1, filled=True),
        ),
    ),
    Chart(
        "network-faults",
        "Errors and drops",
        "Network",
        (
            Line("network.errin_per_sec", "receive errors", "rose"),
            Line("network.dropin_per_sec", "receive drops", "amber"),
            Line("network.errout_per_sec", "send errors", "purple", sign=-1),
            Line("network.dropout_per_sec", "send drops", "vermillion", sign=-1),
        ),
    ),
    Chart(
        "tcp",
        "Connections",
        "Network",
        (
            Line("network.tcp.established", "TCP open", "blue"),
            Line("network.tcp.time_wait", "TCP time-wait", "amber"),
            Line("network.sockets_used", "sockets", "grey"),
        ),
    ),
    Chart(
        "tcp-faults",
        "TCP trouble",
        "Network",
        (
            Line("network.tcp.retransmits_per_sec", "retransmits", "vermillion"),
            Line("network.tcp.resets_per_sec", "resets", "rose"),
            Line("network.tcp.listen_drops_per_sec", "listen drops", "amber"),
        ),
    ),
    Chart(
        "pressure",
        "Pressure: some tasks wait",
        "Pressure",
        (
            Line("pressure.cpu.some_stall_percent", "for CPU", "blue"),
            Line("pressure.memory.some_stall_percent", "for memory", "green"),
            Line("pressure.io.some_stall_percent", "for disks", "amber"),
        ),
        maximum=100.0,
        needs="pressure.cpu.some_avg300",
    ),
    Chart(
        "pressure-full",
        "Pressure: all tasks wait",
        "Pressure",
        (
            Line("pressure.memory.full_stall_percent", "for memory", "green"),
            Line("pressure.io.full_stall_percent", "for disks", "amber"),
        ),
        maximum=100.0,
        needs="pressure.io.full_avg300",
    ),
    Chart(
        "paging",
        "Paging",
        "Paging",
        (
            Line("memory_bandwidth.pgpgin_per_sec", "in", "blue", filled=True),
            Line("memory_bandwidth.pgpgout_per_sec", "out", "vermillion", sign=-1, filled=True),
        ),
    ),
    Chart(
        "swapping",
        "Swapping",
        "Paging",
        (
            Line("memory_bandwidth.pswpin_per_sec", "in", "blue", filled=True),
            Line("memory_bandwidth.pswpout_per_sec", "out", "vermillion", sign=-1, filled=True),
        ),
    ),
    Chart(
        "faults",
        "Page faults",
        "Paging",
        (
            Line("memory_bandwidth.pgfault_per_sec", "all", "blue"),
            Line("memory_bandwidth.pgmajfault_per_sec", "major", "rose"),
        ),
    ),
    Chart(
        "reclaim",
        "Memory taken back",
        "Paging",
        (
            Line("memory_bandwidth.pgsteal_per_sec", "pages taken", "sky"),
            Line("memory_bandwidth.pgscan_direct_per_sec", "direct scan", "amber"),
            Line("memory_bandwidth.compact_stall_per_sec", "compaction stalls", "purple"),
            Line("memory_bandwidth.oom_kills_per_sec", "OOM kills", "rose"),
        ),
    ),
    _counted(
        "ipc",
        "Instructions per cycle",
        Line("perf_events.ipc", "IPC", "blue", filled=True),
    ),
    Chart(
        "ipc-cores",
        "Instructions per cycle, CPU by CPU",
        "Counters",
        (Line("perf_events.per_cpu.*.ipc", "", "blue"),),
        maximum=3.0,
        devices=CORES,
        needs="perf_events.ipc",
        strip=True,
    ),
    _counted(
        "misses",
        "Misses per thousand instructions",
        Line("perf_events.cache_misses_per_kilo_instruction", "last cache level", "vermillion"),
        Line("perf_events.branch_misses_per_kilo_instruction", "branches", "purple"),
    ),
    _counted(
        "miss-shares",
        "Share of accesses that miss",
        Line("perf_events.cache_miss_percent", "cache", "vermillion"),
        Line("perf_events.l1d_load_miss_percent", "L1 loads", "sky"),
        Line("perf_events.llc_load_miss_percent", "last level loads", "amber"),
        Line("perf_events.dtlb_load_miss_percent", "data TLB", "green"),
        Line("perf_events.branch_miss_percent", "branches", "purple"),
        needs="perf_events.cache_references",
    ),
    _counted(
        "tlb",
        "TLB misses",
        Line("perf_events.dtlb_load_misses", "data", "green"),
        Line("perf_events.itlb_load_misses", "instructions", "purple"),
        needs="perf_events.dtlb_load_misses",
    ),
    _counted(
        "stalls",
        "Stalled cycles",
        Line("perf_events.stalled_backend_percent", "waiting for data or units", "vermillion"),
        Line("perf_events.stalled_frontend_percent", "waiting for instructions", "sky"),
        needs="perf_events.stalled_cycles_frontend",
    ),
    _counted(
        "instructions",
        "Instructions",
        Line("perf_events.instructions_per_sec", "completed", "blue", filled=True),
    ),
    _counted(
        "effective-frequency",
        "Frequency while busy",
        Line("perf_events.effective_ghz", "mean", "green"),
        needs="perf_events.effective_ghz",
    ),
    Chart(
        "counted",
        "Time that was counted",
        "Counters",
        (Line("perf_events.running_percent", "of the events with least", "grey", filled=True),),
        maximum=100.0,
        needs="perf_events.ipc",
    ),
    Chart(
        "perf-switches",
        "Scheduling events",
        "Counters",
        (
            Line("perf_events.context_switches", "context switches", "blue"),
            Line("perf_events.cpu_migrations", "CPU migrations", "purple"),
        ),
        needs="perf_events.available",
    ),
    Chart(
        "perf-faults",
        "Fault events",
        "Counters",
        (
            Line("perf_events.minor_faults", "minor faults", "blue"),
            Line("perf_events.major_faults", "major faults", "rose"),
        ),
        needs="perf_events.available",
    ),
    Chart(
        "own-cost",
        "Time to collect",
        "PerfWatch itself",
        (Line("sampler.collect_ms.*", ""),),
        devices=COLLECTORS,
    ),
    Chart(
        "lateness",
        "Lateness of samples",
        "PerfWatch itself",
        (Line("sampler.lateness_ms", "late by", "blue", filled=True),),
    ),
    Chart(
        "lost",
        "Samples missed or waiting",
        "PerfWatch itself",
        (
            Line("sampler.missed_ticks", "missed", "rose"),
            Line("sampler.spooled", "waiting for the database", "amber"),
        ),
    ),
)

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(chart.group for chart in CHARTS))
"""In the order of the page."""
