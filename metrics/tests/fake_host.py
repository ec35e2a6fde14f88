"""Builds small /proc, /sys and / trees: a host with two CPUs, one disk and one network card."""

from pathlib import Path

from metrics.collectors import COLLECTORS
from metrics.collectors.base import Occasion
from metrics.kernel.host import Host

STAT = """cpu  100 0 50 800 50 0 0 0 0 0
cpu0 50 0 25 400 25 0 0 0 0 0
cpu1 50 0 25 400 25 0 0 0 0 0
intr 5000 1 2 3 4
ctxt 9000
btime 1795352921
processes 300
procs_running 2
procs_blocked 1
softirq 10 0 1
"""
MEMINFO = """MemTotal:        1000000 kB
MemFree:          200000 kB
MemAvailable:     600000 kB
Buffers:           10000 kB
Cached:           300000 kB
SwapCached:            0 kB
SwapTotal:        500000 kB
SwapFree:         400000 kB
Dirty:               100 kB
Writeback:             0 kB
AnonPages:         50000 kB
Mapped:            20000 kB
Shmem:              1000 kB
Slab:              40000 kB
SReclaimable:      30000 kB
PageTables:         2000 kB
CommitLimit:     1000000 kB
Committed_AS:     700000 kB
HugePages_Total:       4
HugePages_Free:        3
"""
VMSTAT = """nr_free_pages 1
pgpgin 1000
pgpgout 2000
pswpin 10
pswpout 20
pgfault 5000
pgmajfault 50
pgsteal_kswapd 5
pgsteal_direct 6
pgscan_direct 7
pgscan_direct_throttle 99
oom_kill 0
compact_stall 0
"""
NET_DEV_HEAD = "Inter-| Receive | Transmit\n face |bytes packets |bytes packets\n"
SNMP = """Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm EstabResets CurrEstab RetransSegs
Tcp: 1 5 12 300
"""
NETSTAT = "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 0 7\nIpExt: InNoRoutes\nIpExt: 0\n"
SOCKSTAT = "sockets: used 290\nTCP: inuse 12 orphan 0 tw 3 alloc 15 mem 2\n"
MOUNTINFO = "27 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
BOOT_ID = "bc23f3dd-eef8-4269-9909-96ab511f69fa"


def net_dev(**interfaces):
    """Lines of /proc/net/dev; `eth0=(received, sent)` in bytes, a tenth as many packets."""
    return NET_DEV_HEAD + "".join(
        f"{name:>6}: {got} {got // 10} 1 2 0 0 0 0 {sent} {sent // 10} 3 4 0 0 0 0\n"
        for name, (got, sent) in interfaces.items()
    )


def diskstats(**devices):
    """Lines of /proc/diskstats; the eight numbers of each are those of the first kernel columns:
    reads, sectors read, read ms, writes, sectors written, write ms, busy ms, weighted ms."""
    return "".join(
        f"   8 0 {name} {n[0]} 0 {n[1]} {n[2]} {n[3]} 0 {n[4]} {n[5]} 0 {n[6]} {n[7]} 0 0 0 0\n"
        for name, n in devices.items()
    )


def pressure(*, some, full):
    """Text of a file of /proc/pressure with these stall times in µs."""
    averages = "avg10=0.10 avg60=0.20 avg300=0.30"
    return f"some {averages} total={some}\nfull {averages} total={full}\n"


def process(pid, name="init", *, ticks=0, started=1, pages=0):
    """A line of /proc/[pid]/stat."""
    return (
        f"{pid} ({name}) S 1 {pid} {pid} 0 -1 4194560 10 0 0 0 {ticks} 0 0 0 20 0 1 0 {started}"
        f" 9000000 {pages} 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 0 0 0 0 0 0\n"
    )


def write(root, path, text):
    file = Path(root) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    # In place: a kernel file keeps its inode, and the readers keep their descriptors.
    file.write_text(text)


def make_host(tmp_path, *, without=(), **files):
    """A host below `tmp_path`; `files` replaces whole files by their name with _ for /."""
    texts = {
        "stat": STAT,
        "loadavg": "0.10 0.20 0.30 1/80 7785\n",
        "meminfo": MEMINFO,
        "vmstat": VMSTAT,
        "uptime": "707.84 1282.36\n",
        "diskstats": diskstats(sda=(10, 100, 50, 20, 200, 80, 60, 130)),
        "cpuinfo": "processor\t: 0\ncpu MHz\t\t: 2400.0\n\nprocessor\t: 1\ncpu MHz\t\t: 2600.0\n",
        "1/net/dev": net_dev(lo=(50, 50), eth0=(1000, 500)),
        "1/net/snmp": SNMP,
        "1/net/netstat": NETSTAT,
        "1/net/sockstat": SOCKSTAT,
        "1/mountinfo": MOUNTINFO,
        "1/stat": process(1, pages=100),
        **{f"pressure/{name}": pressure(some=9, full=4) for name in ("cpu", "memory", "io")},
        "sys/kernel/random/boot_id": BOOT_ID + "\n",
        "sys/kernel/hostname": "container\n",
    }
    texts |= {name.replace("_", "/"): text for name, text in files.items()}
    for name, text in texts.items():
        if name not in without:
            write(tmp_path / "proc", name, text)
    for device in ("class/net/eth0/device", "block/sda/device"):
        (tmp_path / "sys" / device).mkdir(parents=True)
    write(tmp_path / "sys", "class/net/lo/flags", "0x9")
    write(tmp_path / "sys", "devices/system/cpu/present", "0-1\n")
    write(tmp_path / "sys", "devices/system/cpu/online", "0-1\n")
    for name, text in {"flags": "0x1003", "operstate": "up", "speed": "1000"}.items():
        write(tmp_path / "sys", f"class/net/eth0/{name}", text + "\n")
    write(tmp_path / "root", "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    write(tmp_path / "root", "etc/hostname", "bluebell\n")
    return Host(str(tmp_path / "proc"), str(tmp_path / "sys"), str(tmp_path / "root"))


class Watch:
    """A collector on a fake host, read by hand: `second(file=text)` after two seconds."""

    def __init__(self, name, tmp_path, **files):
        self.tmp_path = tmp_path
        (self.collector,) = (c for c in COLLECTORS if c.name == name)
        self.host = make_host(tmp_path, **files)
        self.occasion = Occasion()
        self.read = self.collector.open(self.host, self.occasion)
        self.before = self.read()

    def first(self):
        return self.collector.document(self.before, None, None)

    def second(self, elapsed=2.0, **files):
        for file, text in files.items():
            write(self.tmp_path / "proc", file.replace("_", "/"), text)
        return self.collector.document(self.read(), self.before, elapsed)
