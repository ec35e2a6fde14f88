import shutil

from metrics.collectors.disk import _partition_document
from metrics.kernel.filesystems import Mount, Usage
from metrics.tests.fake_host import Watch, diskstats


def test_a_disks_rates_await_utilisation_and_queue(tmp_path):
    watch = Watch("disk", tmp_path, diskstats=diskstats(sda=(10, 100, 50, 0, 0, 0, 0, 0)))
    text = diskstats(sda=(20, 300, 90, 0, 0, 0, 500, 4000))
    device = watch.second(diskstats=text)["devices"]["sda"]
    assert (device["read_iops"], device["read_bytes_per_sec"]) == (5, 51200)
    assert (device["read_await_ms"], device["write_await_ms"]) == (4, None)
    assert (device["util_percent"], device["queue_length"]) == (25, 2)


def test_utilisation_never_exceeds_100(tmp_path):
    watch = Watch("disk", tmp_path, diskstats=diskstats(sda=(0,) * 8))
    text = diskstats(sda=(1, 0, 0, 0, 0, 0, 2010, 0))
    assert watch.second(diskstats=text)["devices"]["sda"]["util_percent"] == 100


def test_disk_totals_count_nothing_twice(tmp_path):
    (tmp_path / "sys/block/dm-0").mkdir(parents=True)
    (tmp_path / "sys/block/zram0").mkdir(parents=True)
    same = (10, 100, 50, 0, 0, 0, 0, 0)
    text = diskstats(sda=same, sda1=same, **{"dm-0": same}, loop0=same, zram0=(0,) * 8)
    disk = Watch("disk", tmp_path, diskstats=text).first()
    assert (disk["read_count"], disk["read_bytes"]) == (10, 51200)
    assert list(disk["devices"]) == ["sda", "dm-0"]


def test_a_new_disk_and_one_whose_counters_fell_have_no_rates(tmp_path):
    (tmp_path / "sys/block/sdb/device").mkdir(parents=True)
    watch = Watch("disk", tmp_path, diskstats=diskstats(sda=(10, 100, 50, 0, 0, 0, 0, 0)))
    text = diskstats(sda=(10, 90, 50, 0, 0, 0, 0, 0), sdb=(5, 5, 5, 5, 5, 5, 5, 5))
    disk = watch.second(diskstats=text)
    assert set(disk["devices"]["sda"].values()) == {None}
    assert set(disk["devices"]["sdb"].values()) == {None}
    assert disk["read_iops"] is None
    assert disk["read_count"] == 15


def test_disks_of_a_container_without_diskstats_are_unknown_and_filesystems_known(tmp_path):
    disk = Watch("disk", tmp_path, without=("diskstats",)).first()
    assert disk["read_bytes"] is None
    assert disk["partitions"]["/"]["total_bytes"] > 0


def test_without_sysfs_disks_are_unknown_and_filesystems_known(tmp_path):
    watch = Watch("disk", tmp_path)
    shutil.rmtree(tmp_path / "sys")
    disk = watch.collector.document(watch.collector.open(watch.host, watch.occasion)(), None, None)
    assert disk["read_bytes"] is None
    assert disk["devices"] == {}
    assert disk["partitions"]["/"]["total_bytes"] > 0


def test_a_filesystem_is_as_full_as_df_says():
    mount = Mount("/x.y", "/x.y", "/dev/sda1", "8:1", "ext4", False)
    found = _partition_document(mount, Usage(1000, 300, 200, 100, 90, 90))
    assert (found["used_bytes"], found["free_bytes"], found["percent"]) == (700, 200, 77.78)
    assert found["inodes_percent"] == 10
    without_inodes = _partition_document(mount, Usage(1000, 300, 200, 0, 0, 0))
    assert without_inodes["inodes_percent"] is None
    away = _partition_document(mount, None)
    assert (away["percent"], away["fstype"], away["read_only"]) == (None, "ext4", False)
