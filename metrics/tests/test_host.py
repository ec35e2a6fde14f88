from metrics.kernel.host import Host, boot_id, identity
from metrics.tests.fake_host import BOOT_ID, make_host, write


def test_per_process_files_are_our_own_here_and_those_of_process_1_elsewhere():
    assert Host().process("net/dev") == "/proc/self/net/dev"
    assert Host(procfs="/host/proc").process("mountinfo") == "/host/proc/1/mountinfo"


def test_paths_of_the_host_are_reached_below_its_root():
    assert Host().root("/home") == "/home"
    assert Host(rootfs="/host").root("/") == "/host/"


def test_the_id_is_stable_short_and_not_the_machine_id(tmp_path):
    host = make_host(tmp_path)
    known = identity(host)
    assert known == identity(host)
    assert len(known.id) == 32
    assert known.id != "0123456789abcdef0123456789abcdef"


def test_in_a_container_the_name_is_the_hosts(tmp_path):
    assert identity(make_host(tmp_path)).name == "bluebell"


def test_a_host_without_a_machine_id_has_none(tmp_path):
    host = make_host(tmp_path)
    write(tmp_path / "root", "etc/machine-id", "\n")
    assert identity(host).id is None


def test_the_boot_id_is_read_and_may_be_missing(tmp_path):
    host = make_host(tmp_path)
    assert boot_id(host)() == BOOT_ID
    assert boot_id(Host(procfs=str(tmp_path / "nowhere")))() is None
