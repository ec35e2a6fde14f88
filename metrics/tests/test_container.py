"""Where PerfWatch runs, by what the kernel says of the process."""

import pytest

from metrics.doctor import host
from metrics.kernel.container import FIRST_NAMESPACES, Signs, is_container, judged, signs
from metrics.settings_page import system
from metrics.tests.builders import NOW

DOCKER = "587 585 0:52 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a:/b"
DISK = "27 1 254:0 / / rw,relatime shared:3 - ext4 /dev/vda rw,discard"


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """Signs of a root with namespaces, mounts and files."""
    monkeypatch.delenv("container", raising=False)

    def look(mounts, *, files=(), **namespaces):
        own = tmp_path / "proc/self/ns"
        own.mkdir(parents=True)
        for name, inode in (FIRST_NAMESPACES | namespaces).items():
            (own / name).symlink_to(f"{name}:[{inode}]")
        (tmp_path / "proc/self/mountinfo").write_text(f"{mounts}\n")
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return judged(signs(str(tmp_path)))

    return look


def test_a_host_is_none(seen):
    assert seen(DISK) is False


def test_a_virtual_machine_made_of_an_image_is_none(seen):
    assert seen(DISK, files=[".dockerenv"]) is False


def test_a_live_system_is_none(seen):
    assert seen(DOCKER) is False


def test_docker_is_one(seen):
    assert seen(DOCKER, files=[".dockerenv"], pid=4026532287, uts=4026532285) is True


def test_docker_that_sees_the_processes_of_the_host_is_one(seen):
    assert seen(DOCKER, files=[".dockerenv"], uts=4026532285) is True


def test_podman_is_one_also_on_another_filesystem(seen):
    assert seen(DISK, files=["run/.containerenv"], pid=4026532287) is True


def test_kubernetes_leaves_no_mark_and_is_one(seen):
    assert seen(DOCKER, pid=4026532287) is True


def test_what_may_be_a_service_with_a_namespace_of_its_own_is_not_told(seen):
    assert seen(DISK, ipc=4026532287) is None


def test_without_a_look_at_namespaces_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("container", "podman")
    assert signs(str(tmp_path)) == Signs(None, True, False)
    assert judged(signs(str(tmp_path))) is None


def test_here_it_is_told_from_the_files_of_this_process():
    assert is_container() is judged(signs())
    assert signs().has_own_namespace is not None


@pytest.mark.parametrize(
    ("container", "there", "shown"),
    [
        (True, "in a container", "in a container"),
        (False, "not in a container", "on the host"),
        (None, "perhaps in a container", "—"),
    ],
)
def test_doctor_and_settings_say_what_is_known(monkeypatch, container, there, shown):
    info = host.system_info(host.watched_host()) | {"container": container}
    monkeypatch.setattr(host, "system_info", lambda _: info)
    found = {one.name: one for one in host.look()}
    assert f", {there};" in found["kernel"].text
    assert ("roots" in found) == bool(container)
    (line,) = system({"container": container}, NOW)
    assert line.text == shown
