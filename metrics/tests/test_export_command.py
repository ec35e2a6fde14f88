"""`manage.py export`: files that are whole or not there, progress, quiet ends."""

import io
import json
import os
import signal
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from metrics import export
from metrics.management.commands import export as command
from metrics.management.commands.export import progress
from metrics.tests.builders import NOW, stored

pytestmark = pytest.mark.django_db
RANGE = ["--from", "2026-03-01T11:00", "--to", "2026-03-01T12:00"]


def run(*arguments):
    """What it prints, and what it says meanwhile."""
    output, said = io.StringIO(), io.StringIO()
    call_command("export", *RANGE, *map(str, arguments), stdout=output, stderr=said)
    return output.getvalue(), said.getvalue()


@pytest.fixture
def samples():
    return [
        stored(NOW - timedelta(minutes=minutes), cpu__usage_percent=float(minutes))
        for minutes in (30, 20, 10)
    ]


def test_csv_of_the_charts_is_printed_unless_something_else_is_asked_for(samples):
    printed, said = run()
    assert printed.startswith("timestamp,cpu.user_percent [%],cpu.user_percent min [%]")
    assert said == "Exported 720 rows in 0 s.\n"


def test_samples_of_a_field(samples):
    printed, _ = run("--field", "cpu.usage_percent", "--rows", "samples")
    assert printed.split("\r\n") == [
        "timestamp,cpu.usage_percent [%]",
        "2026-03-01T11:30:00Z,30",
        "2026-03-01T11:40:00Z,20",
        "2026-03-01T11:50:00Z,10",
        "",
    ]


def test_without_a_start_it_begins_with_the_oldest(samples):
    output = io.StringIO()
    call_command("export", "--format", "jsonl", stdout=output, stderr=io.StringIO())
    ids = [json.loads(line)["id"] for line in output.getvalue().splitlines()]
    assert ids == [row.id for row in samples]


def test_points_in_json(samples):
    printed, _ = run("--format", "json", "--field", "cpu.usage_percent", "--points", "6")
    assert json.loads(printed)["step"] == 600


def test_a_name_that_is_not_utf8_is_said_in_one_line(samples):
    with pytest.raises(CommandError, match="--field is wrong: it is not written in UTF-8"):
        run("--field", "disk.devices.\udcff.util_percent")


def test_a_file_comes_into_being_as_a_whole(samples, tmp_path, monkeypatch):
    path = tmp_path / "out.jsonl"
    printed, _ = run("--format", "jsonl", "--output", path)
    assert printed == ""
    assert len(path.read_text().splitlines()) == 3
    assert [one.name for one in tmp_path.iterdir()] == ["out.jsonl"]

    monkeypatch.setattr(export, "SNAPSHOTS_AT_ONCE", 1)
    monkeypatch.setattr(export, "iso", raising_after(2, OperationalError("gone\nmore")))
    with pytest.raises(CommandError, match=r"gone$"):
        run("--format", "jsonl", "--output", path, "--force")
    assert len(path.read_text().splitlines()) == 3
    assert [one.name for one in tmp_path.iterdir()] == ["out.jsonl"]


def raising_after(times, error):
    left = [times]

    def fake(at):
        if not left[0]:
            raise error
        left[0] -= 1
        return str(at)

    return fake


def test_a_file_that_is_there_is_kept_unless_forced(samples, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("mine")
    with pytest.raises(CommandError, match="exists already; --force replaces it"):
        run("--format", "jsonl", "--output", path)
    assert path.read_text() == "mine"
    run("--format", "jsonl", "--output", path, "--force")
    assert len(path.read_text().splitlines()) == 3


def test_devices_and_folders_are_not_replaced(samples, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(CommandError, match="is not a file"):
            run("--output", path, "--force")


@pytest.mark.parametrize("place", ["missing/out.csv", "file/out.csv"])
def test_a_place_that_cannot_be_written_is_said_in_one_line(samples, tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"^Cannot write: [^\n]+\.$"):
        run("--output", tmp_path / place)


def test_progress_goes_to_standard_error(samples, monkeypatch):
    monkeypatch.setattr(command, "PROGRESS_SECONDS", -1)
    monkeypatch.setattr(export, "SNAPSHOTS_AT_ONCE", 1)
    printed, said = run("--format", "jsonl")
    assert len(printed.splitlines()) == 3
    assert [line.partition(",")[0] for line in said.splitlines()][:3] == ["0 %", "50 %", "100 %"]


def test_progress_has_share_rate_and_time_left():
    hour = timedelta(hours=1)
    text = progress(NOW - 4 * hour, NOW, NOW - 3 * hour, 20_000, 2.0)
    assert text == "25 %, 10,000 rows per second, 6 s left"


def test_ctrl_c_ends_quietly_and_leaves_nothing(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "iso", raising_after(0, KeyboardInterrupt()))
    with pytest.raises(SystemExit) as end:
        run("--format", "jsonl", "--output", tmp_path / "out.jsonl")
    assert end.value.code == 130
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_ends_it_quietly(samples, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody_reads:
        monkeypatch.setattr("sys.stdout", nobody_reads)
        said = io.StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("export", *RANGE, "--format", "jsonl", stderr=said)
        assert end.value.code == 141


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "xml"], "--format is one of: csv, json, jsonl."),
        (["--rows", "all"], "--rows is one of: points, samples."),
        (["--field", "cpu.usage"], "--field is wrong: cpu.usage is not a field"),
        (["--field", "cpu.usage_percent", "--format", "jsonl"], "are for csv and json only"),
        (["--points", "0"], "--points is a number from 1"),
        (["--points", "150000"], "--points times series may be at most"),
        (["--from", "yesterday"], "'yesterday' is not understood"),
        (["--to", "2026-02-01"], "--from must be before --to."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(samples, arguments, sentence):
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_database_is_said():
    with pytest.raises(CommandError, match="Nothing is stored yet"):
        call_command("export")


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        call_command("export", "--help")
    assert "--from now-7d --format jsonl --output week.jsonl" in " ".join(
        capsys.readouterr().out.split()
    )


def test_an_export_that_is_ended_leaves_no_part_of_a_file(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(SystemExit, match="143"),
        command._writing(tmp_path / "all.csv", force=False) as write,
    ):
        write("half of it")
        os.kill(os.getpid(), signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
