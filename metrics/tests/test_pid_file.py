"""Only one PerfWatch serves from a data directory."""

import os

import pytest

from metrics.pid_file import AlreadyRunningError, Holder, running, take

URL = "http://127.0.0.1:8000"


def test_the_holder_is_named_to_a_second_start(tmp_path):
    lock = take(tmp_path / "pid", URL)
    text = rf"^PerfWatch is already running at {URL} \(process {os.getpid()}\)\.$"
    with pytest.raises(AlreadyRunningError, match=text):
        take(tmp_path / "pid", "http://127.0.0.1:9000")
    assert running(tmp_path / "pid") == Holder(os.getpid(), URL)
    os.close(lock)


def test_a_file_that_nobody_holds_stops_nobody(tmp_path):
    (tmp_path / "pid").write_text("4194304\nhttp://somewhere.example.org:80/and/longer\n")
    assert running(tmp_path / "pid") is None
    lock = take(tmp_path / "pid", URL)
    assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n{URL}\n"
    os.close(lock)


def test_without_a_file_nothing_runs(tmp_path):
    assert running(tmp_path / "pid") is None


def test_the_file_is_for_its_owner_only(tmp_path):
    os.close(take(tmp_path / "pid", URL))
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o600
