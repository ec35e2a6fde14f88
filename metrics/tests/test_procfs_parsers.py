from metrics.kernel import procfs
from metrics.kernel.sockets import parse_sockets
from metrics.tests import fake_host


def test_stat_gives_ticks_by_mode_and_by_cpu():
    stat = procfs.parse_stat(fake_host.STAT.encode())
    assert stat.total == (100, 0, 50, 800, 50, 0, 0, 0, 0, 0)
    assert list(stat.cores) == [0, 1]
    assert (stat.interrupts, stat.context_switches, stat.forks) == (5000, 9000, 300)
    assert (stat.running, stat.blocked) == (2, 1)


def test_stat_of_an_old_kernel_has_zeros_for_the_modes_it_does_not_know():
    assert procfs.parse_stat(b"cpu  1 2 3 4\ncpu0 1 2 3 4\n").total == (1, 2, 3, 4, *(0,) * 6)


def test_a_cpu_that_is_offline_leaves_a_hole():
    stat = procfs.parse_stat(b"cpu  3 0 0 4 0 0 0 0 0 0\ncpu0 1 0 0 2 0 0 0 0 0 0\ncpu3 2 0 0 2\n")
    assert list(stat.cores) == [0, 3]


def test_numbers_are_found_by_whole_labels_also_on_the_first_line():
    labels = {"first": b"\na ", "scan": b"\npgscan_direct ", "missing": b"\nz "}
    found = procfs.parse_numbers(b"a 1\npgscan_direct_throttle 99\npgscan_direct 7\n", labels)
    assert found == {"first": 1, "scan": 7, "missing": None}


def test_64_bit_counters_are_read_whole():
    assert procfs.number_after(b"\npgfault 18446744073709551615\n", b"\npgfault ") == 2**64 - 1


def test_interfaces_may_have_dots_and_touch_their_first_number():
    text = fake_host.NET_DEV_HEAD + "eth0.100:7 6 5 4 0 0 0 0 17 16 15 14 0 0 0 0\n"
    (name, counters), *_ = procfs.parse_net_dev(text.encode()).items()
    assert name == "eth0.100"
    assert counters == procfs.InterfaceCounters(7, 6, 5, 4, 17, 16, 15, 14)


def test_sectors_are_512_bytes():
    text = fake_host.diskstats(sda=(1, 2, 3, 4, 5, 6, 7, 8)).encode()
    assert procfs.parse_diskstats(text) == {
        "sda": procfs.DeviceCounters(1, 1024, 3, 4, 2560, 6, 7, 8)
    }


def test_diskstats_of_old_kernels_have_fourteen_columns():
    assert procfs.parse_diskstats(b"8 0 sda 1 0 2 3 4 0 5 6 0 7 8\n")["sda"].weighted_ms == 8


def test_sockets_are_found_by_the_names_of_their_columns():
    found = parse_sockets(
        fake_host.SNMP.encode(), fake_host.NETSTAT.encode(), fake_host.SOCKSTAT.encode()
    )
    assert found == (12, 3, 300, 5, 7, 290)


def test_sockets_of_a_kernel_without_these_files_are_unknown():
    assert set(parse_sockets(b"", b"", b"")) == {None}


def test_frequency_is_the_mean_and_unknown_where_there_is_none():
    assert procfs.parse_cpuinfo_mhz(b"cpu MHz\t\t: 2400.0\ncpu MHz\t\t: 2600.0\n") == 2500
    assert procfs.parse_cpuinfo_mhz(b"Processor: ARMv8\n") is None


def test_load_and_uptime_are_the_first_numbers():
    assert procfs.parse_loadavg(b"0.08 0.11 0.09 1/80 7785\n") == (0.08, 0.11, 0.09)
    assert procfs.parse_uptime(b"707.84 1282.36\n") == 707.84
