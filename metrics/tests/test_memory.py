from metrics.tests import fake_host
from metrics.tests.fake_host import Watch


def test_used_memory_is_what_is_not_available(tmp_path):
    memory = Watch("memory", tmp_path).first()
    assert memory["used_bytes"] == 400_000 * 1024
    assert memory["percent"] == 40
    assert memory["cached_bytes"] == 330_000 * 1024
    assert (memory["swap_used_bytes"], memory["swap_percent"]) == (100_000 * 1024, 20)
    assert (memory["hugepages_total"], memory["hugepages_free"]) == (4, 3)


def test_what_a_kernel_does_not_say_of_memory_is_null(tmp_path):
    memory = Watch("memory", tmp_path, meminfo="MemTotal: 10 kB\nSwapTotal: 0 kB\n").first()
    assert memory["total_bytes"] == 10240
    assert memory["used_bytes"] is memory["percent"] is memory["cached_bytes"] is None
    assert memory["swap_percent"] == 0


def test_paging_is_per_second(tmp_path):
    watch = Watch("memory_bandwidth", tmp_path)
    assert set(watch.first().values()) == {None}
    text = fake_host.VMSTAT.replace("pgpgin 1000", "pgpgin 1100")
    paging = watch.second(vmstat=text.replace("pgsteal_direct 6", "pgsteal_direct 10"))
    assert (paging["pgpgin_per_sec"], paging["pgsteal_per_sec"]) == (50, 2)
    assert paging["pgscan_direct_per_sec"] == 0


def test_pages_that_a_control_group_at_its_limit_takes_are_counted_once(tmp_path):
    by_kind = "pgsteal_anon 100\npgsteal_file 50\n"
    watch = Watch("memory_bandwidth", tmp_path, vmstat=fake_host.VMSTAT + by_kind)
    text = fake_host.VMSTAT.replace("pgsteal_kswapd 5", "pgsteal_kswapd 25")
    paging = watch.second(vmstat=text + "pgsteal_anon 180\npgsteal_file 70\n")
    assert paging["pgsteal_per_sec"] == 50
