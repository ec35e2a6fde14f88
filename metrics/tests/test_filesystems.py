import os
import threading

from metrics.kernel import filesystems
from metrics.kernel.filesystems import Filesystems, parse_mountinfo, real_mounts, unescape
from metrics.tests.fake_host import make_host, write


def points(text):
    return [mount.point for mount in real_mounts(parse_mountinfo(text.encode()))]


def test_octal_escapes_are_undone():
    assert unescape(r"/mnt/my\040disk\134\011x") == "/mnt/my disk\\\tx"
    assert unescape("/plain") == "/plain"


def test_a_mount_says_its_device_type_and_whether_it_is_read_only():
    line = rb"36 35 98:0 / /mnt/my\040disk ro,noatime master:1 - ext3 /dev/root rw,errors=continue"
    (mount,) = parse_mountinfo(line)
    assert mount.point == "/mnt/my disk"
    assert (mount.device, mount.fstype, mount.read_only) == ("/dev/root", "ext3", True)


def test_pseudo_image_loop_and_overlay_filesystems_are_left_out():
    assert points(
        "1 0 0:21 / /proc rw - proc proc rw\n"
        "2 0 0:22 / /run rw - tmpfs tmpfs rw\n"
        "3 0 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro\n"
        "4 0 7:2 / /mnt/image rw - ext4 /dev/loop2 rw\n"
        "5 0 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw\n"
        "6 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
    ) == ["/"]


def test_a_filesystem_mounted_several_times_counts_at_its_shortest_point():
    assert points(
        "1 0 8:1 /srv /var/srv rw - ext4 /dev/sda1 rw\n"
        "2 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "3 0 8:1 /a /srv rw - ext4 /dev/sda1 rw\n"
        "4 0 8:2 / /home rw - xfs /dev/sda2 rw\n"
    ) == ["/", "/home"]


def test_a_mount_hidden_by_a_later_one_at_the_same_point_does_not_count():
    assert (
        points("1 0 8:2 / /mnt rw - ext4 /dev/sdb rw\n2 0 0:40 / /mnt rw - tmpfs tmpfs rw\n") == []
    )


def test_a_name_that_is_not_utf8_can_be_stored_and_still_be_asked():
    (mount,) = parse_mountinfo(b"1 0 8:2 / /mnt/\xff rw - ext4 /dev/sdb rw")
    assert mount.point == "/mnt/�"
    assert os.fsencode(mount.path) == b"/mnt/\xff"


def test_mounts_are_asked_below_the_hosts_root(tmp_path):
    ((mount, usage),) = Filesystems(make_host(tmp_path))()
    expected = os.statvfs(tmp_path)
    assert mount.point == "/"
    assert usage.total == expected.f_blocks * expected.f_frsize


def test_a_mount_that_cannot_be_asked_costs_only_its_own_numbers(tmp_path):
    text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 0 8:2 / /gone rw - ext4 /dev/sdb rw\n"
    found = {
        m.point: usage for m, usage in Filesystems(make_host(tmp_path, **{"1_mountinfo": text}))()
    }
    assert found["/"] is not None
    assert found["/gone"] is None


def test_the_mount_table_is_read_again_after_half_a_minute(tmp_path):
    now = [0.0]
    host = make_host(tmp_path)
    read = Filesystems(host, clock=lambda: now[0])
    write(tmp_path / "proc", "1/mountinfo", "2 0 8:2 / /home rw - ext4 /dev/sdb rw\n")
    assert [m.point for m, _ in read()] == ["/"]
    now[0] = 30.0
    assert [m.point for m, _ in read()] == ["/home"]


def test_a_network_filesystem_that_hangs_has_no_numbers_and_holds_up_nobody(tmp_path, monkeypatch):
    release = threading.Event()
    real = filesystems.usage
    monkeypatch.setattr(
        filesystems, "usage", lambda path: release.wait() if "nas" in path else real(path)
    )
    monkeypatch.setattr("metrics.kernel.slow.FIRST_VALUE_SECONDS", 0.0)
    text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 0 0:60 / /nas rw - nfs4 nas:/ rw\n"
    found = {
        m.point: usage for m, usage in Filesystems(make_host(tmp_path, **{"1_mountinfo": text}))()
    }
    release.set()
    assert found["/"] is not None
    assert found["/nas"] is None


def test_a_network_filesystem_that_answers_has_numbers_at_once(tmp_path):
    text = "2 0 0:60 / /nas rw - nfs4 nas:/ rw\n"
    (tmp_path / "root" / "nas").mkdir(parents=True)
    ((_, usage),) = Filesystems(make_host(tmp_path, **{"1_mountinfo": text}))()
    assert usage.total > 0
