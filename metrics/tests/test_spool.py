"""The file in which samples wait for the database."""

import errno
import os
import resource
import signal
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path

import pytest

from metrics import spool as module
from metrics.spool import Entry, InUse, Spool, parsed
from metrics.tests.builders import NOW, snapshot

ROOT = Path(__file__).parents[2]


def entry(number=0):
    return Entry.of(snapshot(NOW + timedelta(seconds=number), cpu__usage_percent=float(number)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.jsonl"


def reopened(path):
    spool = Spool(path)
    spool.open()
    return spool


def kept(spool):
    """The entries of a spool, which is empty afterwards."""
    found = []
    while portion := spool.oldest(2):
        found += portion.entries
        spool.remove(portion)
    return found


def test_what_was_appended_is_there_for_the_next_process(path):
    entries = [entry(number) for number in range(5)]
    first = Spool(path)
    first.append(entries[:3])
    first.append(entries[3:])
    first.close()
    second = reopened(path)
    assert (len(second), second.since) == (5, NOW)
    assert kept(second) == entries
    assert (len(second), second.since, path.read_bytes()) == (0, None, b"")


def test_a_line_holds_id_time_document_and_checksum(path):
    one = entry()
    Spool(path).append([one])
    text = path.read_text()
    assert text.startswith(f'{{"id":"{one.id}","time":"2026-03-01T12:00:00+00:00","document":{{')
    assert text.endswith('"}\n')
    assert '"checksum":"' in text


def test_only_its_owner_can_read_it(path):
    Spool(path).append([entry()])
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_append_reaches_the_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(module.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))
    spool = Spool(path)
    spool.open()
    synced.clear()  # that of the folder
    spool.append([entry()])
    spool.append([entry()])
    assert len(synced) == 2


@pytest.mark.parametrize("is_there", [False, True])
def test_the_name_of_the_file_reaches_the_disk(path, monkeypatch, is_there):
    """Who made the file may have been killed before it did that."""
    if is_there:
        path.touch()
    synced = []
    monkeypatch.setattr(module.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor)))
    Spool(path).open()
    assert [(one.st_dev, one.st_ino) for one in synced] == [
        (path.parent.stat().st_dev, path.parent.stat().st_ino)
    ]


def test_what_was_read_comes_again_until_it_is_removed(path):
    spool = Spool(path)
    spool.append([entry(1), entry(2)])
    assert spool.oldest(1) == spool.oldest(1)
    spool.remove(spool.oldest(1))
    assert [one.timestamp for one in spool.oldest(5).entries] == [NOW + timedelta(seconds=2)]


def test_what_comes_while_it_is_read_is_not_lost(path):
    entries = [entry(number) for number in range(3)]
    spool = Spool(path)
    spool.append(entries[:2])
    portion = spool.oldest(5)
    spool.append(entries[2:])
    spool.remove(portion)
    assert (len(spool), kept(spool)) == (1, entries[2:])


@pytest.mark.parametrize("cut", [1, 2, 12, 200])
def test_a_line_that_the_power_failed_in_is_left_out_counted_and_said(path, cut, caplog):
    whole, torn, later = entry(1), entry(2), entry(3)
    path.write_bytes(whole.line() + torn.line()[:-cut])
    spool = reopened(path)
    spool.append([later])
    # Without its line end alone, nothing of it is missing.
    assert kept(spool) == ([whole, torn, later] if cut == 1 else [whole, later])
    assert spool.damaged == (0 if cut == 1 else 1)
    assert caplog.text.count("A damaged line") == spool.damaged


@pytest.mark.parametrize("garbage", [b"\0" * 5000, b"\xff\xfe\n\n{}\n", b'{"id":1}'])
def test_garbage_costs_only_itself(path, garbage):
    first, second = entry(1), entry(2)
    path.write_bytes(first.line() + garbage + b"\n" + second.line())
    spool = reopened(path)
    assert kept(spool) == [first, second]
    assert spool.damaged >= 1


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b'{"id":"1","document":{}',
        b'{"id":"1","time":"yesterday","document":{}',
        b'{"id":"1","time":5,"document":{}',
        b'["id","time","document":{}',
    ],
)
def test_a_line_of_another_program_costs_only_itself(path, content):
    """Its checksum is right, what it says is not ours."""
    foreign = b'%s%s%08x"}\n' % (content, module.MARK, zlib.crc32(content))
    one = entry()
    path.write_bytes(foreign + one.line())
    spool = reopened(path)
    assert spool.since == NOW
    assert kept(spool) == [one]
    assert spool.damaged == 1


def test_one_changed_byte_is_noticed(path):
    line = bytearray(entry().line())
    line[200] ^= 1
    path.write_bytes(line)
    assert kept(reopened(path)) == []


def test_a_spool_that_is_full_refuses_and_keeps_what_it_has(path):
    one = entry(1)
    spool = Spool(path, limit=2 * len(one.line()))
    spool.append([one])
    with pytest.raises(OSError, match="it has its") as refused:
        spool.append([entry(2), entry(3)])
    assert refused.value.errno == errno.EFBIG
    assert kept(spool) == [one]


def test_a_disk_that_is_full_leaves_no_half_line(path):
    """The limit on the size of files stands for the disk: the kernel writes up to it."""
    first, second, third = entry(1), entry(2), entry(3)
    spool = Spool(path)
    spool.append([first])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
        with pytest.raises(OSError, match="too large"):
            spool.append([second])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == first.line()
    spool.append([third])
    assert kept(spool) == [first, third]


def test_what_does_not_reach_the_disk_is_not_in_the_spool(path, monkeypatch):
    spool = Spool(path)
    spool.append([entry(1)])

    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as context:
        context.setattr(module.os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            spool.append([entry(2)])
    assert len(kept(spool)) == 1


def test_a_file_that_was_deleted_is_made_again_with_what_it_held(path, caplog):
    entries = [entry(number) for number in range(5)]
    spool = Spool(path)
    spool.append(entries[:3])
    spool.remove(spool.oldest(1))
    portion = spool.oldest(1)
    path.unlink()
    spool.append(entries[3:4])
    spool.remove(portion)
    spool.append(entries[4:])
    # What was read comes again after a crash, as it always does.
    assert [parsed(line) for line in path.read_bytes().splitlines()] == entries
    assert kept(spool) == entries[2:]
    assert path.stat().st_mode & 0o777 == 0o600
    assert caplog.text.count("was deleted") == 1


def test_a_file_that_was_deleted_and_cannot_be_made_again_keeps_what_it_held(path):
    first, second = entry(1), entry(2)
    spool = Spool(path)
    spool.append([first])
    path.unlink()
    path.mkdir()
    with pytest.raises(FileExistsError):
        spool.append([second])
    assert kept(spool) == [first]


def test_a_second_process_is_refused(path):
    spool = Spool(path)
    spool.open()
    with pytest.raises(InUse, match="Another process uses"):
        Spool(path).open()
    spool.close()
    Spool(path).open()


def test_what_was_appended_survives_kill_9(path):
    """A process that appends and says so, until it is killed: all that it said is there."""
    program = (
        "import sys; sys.path.insert(0, '.'); from pathlib import Path; from datetime import *;"
        "from metrics.spool import Entry, Spool; spool = Spool(Path(sys.argv[1])); number = 0\n"
        "while True:\n"
        "    number += 1\n"
        "    at = datetime.now(UTC)\n"
        '    spool.append([Entry(str(number), at, \'{"sampler":{"id":"%d"}}\' % number)])\n'
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        for _ in range(30):
            process.stdout.readline()
        process.kill()
        said = 30 + len(process.stdout.read().split())
    found = [int(one.id) for one in kept(reopened(path))]
    assert found == list(range(1, len(found) + 1))
    assert len(found) - said in (0, 1)  # the last may be there without having been said
