"""Recordings of machines that this one is not: large, strange, changing."""

from metrics.tests.fake_host import diskstats, make_host, net_dev, process, write

CPUS, DISKS, CARDS, PROCESSES = 256, 40, 30, 300
STRANGE_CARDS = ("eth0.100", 'we"ird', "<b>x</b>", "a'b", "br-1")
STRANGE_POINTS = {
    r"/mnt/my\040disk": "/mnt/my disk",
    r"/mnt/a.b\011c": "/mnt/a.b\tc",
    '/mnt/"quoted"': '/mnt/"quoted"',
    "/mnt/<script>": "/mnt/<script>",
    r"/mnt/back\134slash": "/mnt/back\\slash",
    "/mnt/percent": "/mnt/percent",
}


def stat(step, cpus=range(CPUS)):
    """CPU n was busy for n of 256 ticks in each step."""
    rows = [(n, [step * n, 0, 0, step * (256 - n), 0, 0, 0, 0, 0, 0]) for n in cpus]
    total = [sum(column) for column in zip(*(modes for _, modes in rows), strict=True)]
    lines = [("", total), *rows]
    text = "".join(f"cpu{n} {' '.join(map(str, modes))}\n" for n, modes in lines)
    interrupts = " ".join(["7"] * 4000)  # a large machine has thousands of interrupt lines
    return f"{text}intr {1000 * step} {interrupts}\nctxt {2000 * step}\nprocesses {step}\n"


def disks(step, names):
    return diskstats(**{name: tuple(10 * step * n for n in range(1, 9)) for name in names})


def cards(step, names):
    return net_dev(**dict.fromkeys(names, (1000 * step, 500 * step)))


def disk_names(first=0):
    return [f"nvme{n}n1" for n in range(first, DISKS + first)]


def card_names():
    plain = CARDS - len(STRANGE_CARDS) - 1
    return ["lo", *(f"eth{n}" for n in range(plain)), *STRANGE_CARDS]


def mountinfo():
    points = ["/", *STRANGE_POINTS]
    return "".join(
        f"{n} 1 259:{n} / {point} rw - ext4 /dev/nvme{n}n1 rw\n" for n, point in enumerate(points)
    )


def large_machine(tmp_path):
    """256 CPUs, 40 disks, 30 interfaces, names of all kinds; `pass_by` is its next moment."""
    host = make_host(
        tmp_path,
        stat=stat(1),
        diskstats=disks(1, disk_names()),
        **{"1_net_dev": cards(1, card_names()), "1_mountinfo": mountinfo()},
    )
    for name in disk_names():
        (tmp_path / "sys/block" / name / "device").mkdir(parents=True)
    for name in card_names():
        folder = tmp_path / "sys/class/net" / name.replace("/", "!")
        (folder / "device").mkdir(parents=True, exist_ok=True)
        write(folder, "flags", "0x1003")
        write(folder, "operstate", "up")
        write(folder, "speed", "100000")
    for name in ("online", "present"):
        write(tmp_path / "sys", f"devices/system/cpu/{name}", f"0-{CPUS - 1}\n")
    for n in range(CPUS):
        path = f"devices/system/cpu/cpu{n}/cpufreq/scaling_cur_freq"
        write(tmp_path / "sys", path, f"{2_000_000 + n}\n")
    for pid in range(2, PROCESSES):
        write(tmp_path / "proc", f"{pid}/stat", process(pid, f"p) {pid}", pages=pid))
    for point in STRANGE_POINTS.values():
        (tmp_path / f"root{point}").mkdir(parents=True)
    return host


def pass_by(tmp_path, **files):
    """Replaces files of /proc: the machine's next moment."""
    texts = {
        "stat": stat(2),
        "diskstats": disks(2, disk_names()),
        "1/net/dev": cards(2, card_names()),
    }
    texts |= {name.replace("_", "/"): text for name, text in files.items()}
    for name, text in texts.items():
        write(tmp_path / "proc", name, text)
