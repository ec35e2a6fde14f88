import os
import subprocess
from itertools import accumulate
from pathlib import Path

import pytest

from metrics.kernel.files import KernelFile, read_once


def test_each_read_starts_at_the_beginning(tmp_path):
    path = tmp_path / "stat"
    path.write_text("one")
    file = KernelFile(str(path))
    assert file.read() == b"one"
    path.write_text("two, longer")
    assert file.read() == b"two, longer"


def test_content_of_many_pages_comes_whole(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"x" * 300_000)
    assert len(KernelFile(str(path)).read()) == 300_000


def test_a_kernel_file_that_hands_out_pages_comes_whole():
    whole = Path("/proc/kallsyms").read_bytes()
    assert KernelFile("/proc/kallsyms").read() == whole


class Pages:
    """A file whose reads end where a line does not fit into the page any more."""

    def __init__(self, monkeypatch, *parts):
        self.parts = dict(zip(accumulate(map(len, parts), initial=0), parts, strict=False))
        self.offsets = []
        monkeypatch.setattr("metrics.kernel.files.os.pread", self.read)

    def read(self, descriptor, size, offset):
        self.offsets.append(offset)
        return self.parts.get(offset, b"")


def test_a_short_file_takes_one_read(tmp_path, monkeypatch):
    (tmp_path / "loadavg").write_text("")
    pages = Pages(monkeypatch, b"0.1 0.2 0.3\n")
    assert KernelFile(str(tmp_path / "loadavg")).read() == b"0.1 0.2 0.3\n"
    assert pages.offsets == [0]


@pytest.mark.parametrize(("first", "long_lines"), [(4000, False), (2048, False), (100, True)])
def test_a_file_is_read_on_where_more_could_come(tmp_path, monkeypatch, first, long_lines):
    (tmp_path / "mountinfo").write_text("")
    Pages(monkeypatch, b"a" * first, b"b" * 3000, b"c" * 10)
    file = KernelFile(str(tmp_path / "mountinfo"), long_lines=long_lines)
    assert len(file.read()) == first + 3010


def test_a_descriptor_that_went_stale_is_opened_anew(tmp_path):
    path = tmp_path / "stat"
    path.write_text("one")
    file = KernelFile(str(path))
    os.close(file._descriptor)
    assert file.read() == b"one"
    assert file.read() == b"one"


def test_a_file_of_a_process_that_ended_says_so():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        file = KernelFile(f"/proc/{process.pid}/stat")
        assert file.read()
    with pytest.raises(FileNotFoundError):
        file.read()
    with pytest.raises(FileNotFoundError):
        file.read()


def test_the_descriptor_closes_with_the_object(tmp_path):
    (tmp_path / "a").write_text("")
    file = KernelFile(str(tmp_path / "a"))
    descriptor = file._descriptor
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_small_file_that_cannot_be_read_is_none(tmp_path):
    assert read_once(str(tmp_path / "absent")) is None
    assert read_once(tmp_path) is None
