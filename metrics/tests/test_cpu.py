from metrics.tests import fake_host
from metrics.tests.fake_host import Watch


def stat(*rows):
    """Text of /proc/stat with these CPUs: number and ticks by mode of each."""
    total = [sum(column) for column in zip(*(modes for _, modes in rows), strict=True)]
    lines = [("", total), *rows]
    return "".join(f"cpu{n} {' '.join(map(str, modes))}\n" for n, modes in lines) + "intr 1\n"


def ticks(*, user=0, nice=0, system=0, idle=0, iowait=0, steal=0, guest=0):
    return (user, nice, system, idle, iowait, 0, 0, steal, guest, 0)


def test_usage_is_what_is_neither_idle_nor_waiting_and_the_modes_add_up(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat((0, ticks(idle=100))))
    after = ticks(user=30, nice=5, system=10, idle=140, iowait=10, steal=5, guest=20)
    cpu = watch.second(stat=stat((0, after)))
    assert cpu["usage_percent"] == 50
    assert (cpu["user_percent"], cpu["guest_percent"]) == (30, 20)
    modes = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
    assert sum(cpu[f"{mode}_percent"] for mode in modes) == 100


def test_idle_that_steps_back_counts_as_nothing(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat((0, ticks(user=0, idle=100, iowait=50))))
    cpu = watch.second(stat=stat((0, ticks(user=10, idle=110, iowait=40))))
    assert cpu["usage_percent"] == 50
    assert cpu["iowait_percent"] == 0


def test_the_first_sample_has_no_shares_but_says_how_many_cpus_there_are(tmp_path):
    cpu = Watch("cpu", tmp_path).first()
    assert cpu["usage_percent"] is cpu["idle_percent"] is cpu["context_switches_per_sec"] is None
    assert cpu["per_core"] == [None, None]
    assert (cpu["core_count"], cpu["frequency_mhz"], cpu["load_avg_5m"]) == (2, 2500, 0.2)


def test_two_samples_within_one_tick_have_no_shares(tmp_path):
    assert Watch("cpu", tmp_path).second()["usage_percent"] is None


def test_a_core_is_found_by_its_number_and_null_while_it_is_offline(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat(*((n, ticks(idle=100)) for n in range(4))))
    cpu = watch.second(stat=stat((0, ticks(user=100, idle=100)), (3, ticks(idle=200))))
    assert cpu["per_core"] == [100, None, None, 0]
    assert cpu["core_count"] == 2


def test_the_last_core_stays_in_the_list_while_it_is_offline(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat(*((n, ticks(idle=100)) for n in range(2))))
    assert watch.second(stat=stat((0, ticks(idle=200))))["per_core"] == [0, None]


def test_a_core_that_comes_online_has_no_usage_yet(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat((0, ticks(idle=100))))
    rows = [(0, ticks(user=50, idle=150)), (1, ticks(idle=10))]
    assert watch.second(stat=stat(*rows))["per_core"] == [50, None]


def test_shares_are_those_of_the_cpus_that_stayed_when_one_goes_and_comes(tmp_path):
    # As Linux 6.18 wrote it around `echo 0 > cpu1/online`, with one program on CPU 0.
    def moment(idle, iowait, *cores):
        total = f"cpu {' '.join(map(str, ticks(user=cores[0][1], idle=idle, iowait=iowait)))}\n"
        rows = [(n, ticks(user=user, idle=1000)) for n, user in cores]
        return total + stat(*rows).partition("\n")[2]

    watch = Watch("cpu", tmp_path, stat=moment(9000, 1600, (0, 500), (1, 400)))
    gone = watch.second(stat=moment(9000 + 5271, 1600 - 1511, (0, 603)))
    watch.before = watch.read()
    back = watch.second(stat=moment(9000 + 102, 1600, (0, 706), (1, 400)))
    for cpu in (gone, back):
        assert (cpu["usage_percent"], cpu["idle_percent"], cpu["iowait_percent"]) == (100, 0, 0)


def test_shares_are_unknown_when_every_cpu_is_another_one(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat((0, ticks(idle=100))))
    assert watch.second(stat=stat((1, ticks(idle=200))))["usage_percent"] is None


def test_256_cpus_are_256_values(tmp_path):
    watch = Watch("cpu", tmp_path, stat=stat(*((n, ticks(idle=100)) for n in range(256))))
    rows = [(n, ticks(user=n, idle=100 + 256 - n)) for n in range(256)]
    cores = watch.second(stat=stat(*rows))["per_core"]
    assert cores == [round(100 * n / 256, 2) for n in range(256)]


def test_interrupts_switches_and_forks_are_per_second(tmp_path):
    watch = Watch("cpu", tmp_path)
    text = fake_host.STAT.replace("intr 5000", "intr 5100").replace("ctxt 9000", "ctxt 9050")
    cpu = watch.second(stat=text.replace("processes 300", "processes 299"))
    assert (cpu["interrupts_per_sec"], cpu["context_switches_per_sec"]) == (50, 25)
    assert cpu["forks_per_sec"] is None
