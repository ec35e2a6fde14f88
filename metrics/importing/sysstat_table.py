"""Which of our fields is which number of sar's: the names are those of `sadf -j`. Pure.

What sar does not say stays null: temperature, `available_bytes` (and with it `used_bytes`) before
sysstat 11.5, reads and writes per second of single disks, established connections. Also left out:
`pgsteal`, because sar adds up two counts of the same pages on Linux from 5.8 on.
"""

import re
from typing import NamedTuple

KIB, MIB, SECTOR = 1 << 10, 1 << 20, 512


class Said(NamedTuple):
    """Our field, and the numbers of sar's whose sum times `factor` it is.

    Of a field that stands twice the first that is there counts: versions differ.
    """

    ours: str
    theirs: tuple[str, ...]
    factor: int = 1


def _said(ours: str, theirs: str, factor: int = 1) -> Said:
    return Said(ours, tuple(theirs.split(" + ")), factor)


SAMPLE = (
    _said("cpu.context_switches_per_sec", "process-and-context-switch.cswch"),
    _said("cpu.forks_per_sec", "process-and-context-switch.proc"),
    # sar leaves itself out of the tasks that run.
    _said("cpu.procs_running", "queue.runq-sz"),
    _said("cpu.procs_blocked", "queue.blocked"),
    _said("cpu.load_avg_1m", "queue.ldavg-1"),
    _said("cpu.load_avg_5m", "queue.ldavg-5"),
    _said("cpu.load_avg_15m", "queue.ldavg-15"),
    _said("memory.available_bytes", "memory.avail", KIB),
    _said("memory.free_bytes", "memory.memfree", KIB),
    _said("memory.buffers_bytes", "memory.buffers", KIB),
    # Without the kernel objects that could be given back: sar counts them as slab only.
    _said("memory.cached_bytes", "memory.cached", KIB),
    _said("memory.shared_bytes", "memory.shmem", KIB),
    _said("memory.slab_bytes", "memory.slab", KIB),
    _said("memory.anon_bytes", "memory.anonpg", KIB),
    _said("memory.dirty_bytes", "memory.dirty", KIB),
    _said("memory.page_tables_bytes", "memory.pgtbl", KIB),
    _said("memory.committed_bytes", "memory.commit", KIB),
    _said("memory.swap_total_bytes", "memory.swpfree + memory.swpused", KIB),
    _said("memory.swap_used_bytes", "memory.swpused", KIB),
    _said("memory.swap_percent", "memory.swpused-percent"),
    _said("memory_bandwidth.pgpgin_per_sec", "paging.pgpgin"),
    _said("memory_bandwidth.pgpgout_per_sec", "paging.pgpgout"),
    _said("memory_bandwidth.pswpin_per_sec", "swap-pages.pswpin"),
    _said("memory_bandwidth.pswpout_per_sec", "swap-pages.pswpout"),
    _said("memory_bandwidth.pgfault_per_sec", "paging.fault"),
    _said("memory_bandwidth.pgmajfault_per_sec", "paging.majflt"),
    _said("memory_bandwidth.pgscan_direct_per_sec", "paging.pgscand"),
    # sar -b sums whole devices with hardware behind them, as we do.
    _said("disk.read_iops", "io.io-reads.rtps"),
    _said("disk.write_iops", "io.io-writes.wtps"),
    _said("disk.read_bytes_per_sec", "io.io-reads.bread", SECTOR),
    _said("disk.write_bytes_per_sec", "io.io-writes.bwrtn", SECTOR),
    _said("network.sockets_used", "network.net-sock.totsck"),
    _said("network.tcp.time_wait", "network.net-sock.tcp-tw"),
    _said("network.tcp.retransmits_per_sec", "network.net-etcp.retrans"),
    _said("network.tcp.resets_per_sec", "network.net-etcp.estres"),
    *(
        _said(f"pressure.{ours}.{line}_{name}", f"psi.psi-{theirs}.{line}_{said}")
        for ours, theirs, lines in (
            ("cpu", "cpu", ("some",)),
            ("memory", "mem", ("some", "full")),
            ("io", "io", ("some", "full")),
        )
        for line in lines
        for name, said in (
            ("avg10", "avg10"),
            ("avg60", "avg60"),
            ("avg300", "avg300"),
            ("stall_percent", "avg"),
        )
    ),
)
"""What stands once in a sample."""

CPU = (
    _said("user_percent", "usr + guest"),
    _said("user_percent", "user"),
    _said("nice_percent", "nice + gnice"),
    _said("nice_percent", "nice"),
    _said("system_percent", "sys"),
    # Without `sar -u ALL` the time in interrupts is part of it.
    _said("system_percent", "system"),
    _said("idle_percent", "idle"),
    _said("iowait_percent", "iowait"),
    _said("irq_percent", "irq"),
    _said("softirq_percent", "soft"),
    _said("steal_percent", "steal"),
    _said("guest_percent", "guest + gnice"),
)
"""Of all CPUs, in `cpu-load` or `cpu-load-all`."""

DISK = (
    _said("read_bytes_per_sec", "rkB", KIB),
    _said("read_bytes_per_sec", "rd_sec", SECTOR),
    _said("write_bytes_per_sec", "wkB", KIB),
    _said("write_bytes_per_sec", "wr_sec", SECTOR),
    _said("util_percent", "util-percent"),
    _said("queue_length", "aqu-sz"),
    _said("queue_length", "avgqu-sz"),
)
"""Of one device, in `disk`."""

INTERFACE = (
    _said("bytes_recv_per_sec", "rxkB", KIB),
    _said("bytes_sent_per_sec", "txkB", KIB),
    _said("packets_recv_per_sec", "rxpck"),
    _said("packets_sent_per_sec", "txpck"),
)
"""Of one interface, in `network.net-dev`."""

INTERFACE_ERRORS = (
    _said("errors_recv_per_sec", "rxerr"),
    _said("errors_sent_per_sec", "txerr"),
    _said("drops_recv_per_sec", "rxdrop"),
    _said("drops_sent_per_sec", "txdrop"),
)
"""Of one interface, in `network.net-edev`."""

NETWORK_TOTALS = {
    "bytes_recv_per_sec": "bytes_recv_per_sec",
    "bytes_sent_per_sec": "bytes_sent_per_sec",
    "packets_recv_per_sec": "packets_recv_per_sec",
    "packets_sent_per_sec": "packets_sent_per_sec",
    "errin_per_sec": "errors_recv_per_sec",
    "errout_per_sec": "errors_sent_per_sec",
    "dropin_per_sec": "drops_recv_per_sec",
    "dropout_per_sec": "drops_sent_per_sec",
}
"""Our sums over interfaces, by what of an interface they sum."""

SOFTWARE_INTERFACE = re.compile(
    r"lo|(veth|docker|br-|br\d|virbr|vnet|bond|team|dummy|ifb|tun|tap|wg|cni|cali|flannel|sit|gre"
    r"|ip6|vxlan|lxc|lxdbr).*|.*[.@].*"
)
"""Interfaces that the sums leave out: sar does not say which have hardware, so names have to."""

FILESYSTEM = (
    _said("used_bytes", "MBfsused", MIB),
    _said("total_bytes", "MBfsfree + MBfsused", MIB),
    _said("inodes_percent", "%Iused"),
)
"""Of one filesystem, in `filesystems`, where that names mount points (`sar -F MOUNT`)."""

ABSENT = ("perf_events", "processes", "host")
"""Parts of a document of which sar knows nothing, but for the host's name."""
