"""`manage.py backfill sysstat` and `snapshots`: all or nothing, twice, killed, said in words."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from metrics import rebuild
from metrics.history import history
from metrics.importing import running
from metrics.lock import only_one
from metrics.management.commands import backfill as command
from metrics.management.commands.backfill import step_text
from metrics.models import ArchivePolicy, MetricsSnapshot, Rollup
from metrics.tests.archives import printed, record, sadc_is_missing, said
from metrics.tests.builders import NOW, document, stored
from metrics.tests.processes import ROOT, Processes
from perfwatch_site.tests.servers import missing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(monkeypatch, cpu_alone):
    """Let nobody else write between two steps of the roll-ups."""
    monkeypatch.setitem(rebuild.REST_SECONDS, "sqlite", 0)


def backfill(*arguments):
    """What it prints, and what it says meanwhile."""
    output, told = io.StringIO(), io.StringIO()
    call_command("backfill", *map(str, arguments), stdout=output, stderr=told)
    return output.getvalue(), told.getvalue()


def lines(count, until=NOW, seconds=5, **values):
    found = []
    for left in range(count - 1, -1, -1):
        at = until - timedelta(seconds=seconds * left)
        data = document(at, seconds, cpu__usage_percent=10.0, host__name="web1", **values)
        row = {"timestamp": at.isoformat(), "metric_type": "aggregated", "metric_data": data}
        found.append(json.dumps(row))
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_text("\n".join(lines(30)))
    return path


def archive(path, first, count, load=1.0):
    begin = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=600 * first)
    samples = [
        said((begin + timedelta(seconds=600 * n)).strftime("%H:%M:%S"), queue={"ldavg-1": load})
        for n in range(count)
    ]
    path.write_text(printed(*samples))
    return path


def test_a_file_is_imported_and_rolled_up_and_told(file):
    printed_text, _ = backfill("snapshots", file)
    assert printed_text.startswith("Imported 30 rows of 1 file in ")
    assert "2026-03-01 11:57 to 2026-03-01 12:00 UTC; source: snapshots:web1" in printed_text
    assert MetricsSnapshot.objects.count() == 30
    chunks = Rollup.objects.filter(resolution=60, collector="cpu")
    assert sum(sum(chunk.data["n"]) for chunk in chunks) == 30


def test_the_same_file_twice_adds_nothing(file):
    backfill("snapshots", file)
    printed_text, _ = backfill("snapshots", file)
    assert "Imported 0 rows" in printed_text
    assert "30 rows were stored already" in printed_text
    assert MetricsSnapshot.objects.count() == 30


def test_two_overlapping_archives_make_one_series(tmp_path):
    archive(tmp_path / "a.json", 0, 60)
    archive(tmp_path / "b.json", 50, 60)
    printed_text, _ = backfill("sysstat", tmp_path)
    assert "Imported 110 rows of 2 files" in printed_text
    assert "10 rows were stored already" in printed_text
    assert MetricsSnapshot.objects.count() == 110


def test_what_was_exported_comes_back(tmp_path, installed):
    for minutes in range(10):
        stored(NOW - timedelta(minutes=minutes), cpu__usage_percent=1.5)
    before = list(MetricsSnapshot.objects.order_by("timestamp").values_list("metric_data"))
    path = tmp_path / "out.jsonl"
    call_command("export", "--format", "jsonl", "--output", path, stderr=io.StringIO())
    assert "10 rows were stored already" in backfill("snapshots", path)[0]
    MetricsSnapshot.objects.all().delete()
    (tmp_path / "out.gz").write_bytes(gzip.compress(path.read_bytes()))
    backfill("snapshots", tmp_path / "out.gz")
    after = list(MetricsSnapshot.objects.order_by("timestamp").values_list("metric_data"))
    for (data,) in after:
        assert data["sampler"].pop("source") == "snapshots"
    assert after == before


def test_ten_minute_samples_are_drawn_as_such_and_a_restart_is_a_gap(tmp_path):
    path = archive(tmp_path / "a.json", 0, 30)
    whole = json.loads(path.read_text())
    about = whole["sysstat"]["hosts"][0]
    del about["statistics"][12]
    about["restarts"] = [{"boot": {"date": "2026-03-01", "time": "01:55:00", "utc": 1}}]
    path.write_text(json.dumps(whole))
    backfill("sysstat", path)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    end = start + timedelta(hours=5)
    found = history(["cpu.load_avg_1m"], start, end, 720, end + timedelta(hours=1))
    assert (found.step, found.points, found.interval) == (600, 30, 600)
    assert [index for index, value in enumerate(found.lines[0].mean) if value is None] == [12]


def test_an_imported_stretch_has_sars_own_mean(tmp_path):
    if sadc_is_missing():
        missing("no sysstat (Debian: sysstat)")
    path = tmp_path / "sa01"
    record(path, 5)
    backfill("sysstat", path)
    command_line = ["sadf", "-d", str(path), "--", "-w"]
    rows = subprocess.run(command_line, check=True, capture_output=True, text=True).stdout
    own = [float(line.split(";")[4]) for line in rows.splitlines()[1:]]
    now = datetime.now(UTC)
    start, end = now - timedelta(minutes=30), now + timedelta(minutes=30)
    [line] = history(["cpu.context_switches_per_sec"], start, end, 1, end).lines
    assert line.statistics.mean == pytest.approx(sum(own) / len(own), rel=1e-5)


def test_nothing_is_written_where_something_is_bad(file):
    good = file.read_text()
    file.write_text(f"{good}\n{{\n")
    with pytest.raises(CommandError) as error:
        backfill("snapshots", file)
    assert str(error.value).startswith(f"{file}, line 31: no JSON")
    assert str(error.value).endswith("Nothing was written; --skip-bad leaves out what is bad.")
    assert not MetricsSnapshot.objects.exists()


def test_skip_bad_leaves_out_what_is_bad_and_names_it(file):
    file.write_text("\n".join([*lines(3), "{", *lines(3, NOW - timedelta(hours=1))]))
    printed_text, told = backfill("snapshots", "--skip-bad", file)
    assert "Imported 6 rows" in printed_text
    assert "1 bad ones were left out" in printed_text
    assert f"Left out: {file}, line 4: no JSON" in told


def test_where_all_is_bad_the_exit_status_tells(file):
    file.write_text("{\n")
    with pytest.raises(CommandError, match="Nothing could be imported"):
        backfill("snapshots", "--skip-bad", file)


def test_the_time_that_perfwatch_has_sampled_is_left_out_unless_asked_for(tmp_path):
    path = archive(tmp_path / "a.json", 0, 10)
    stored(datetime(2026, 3, 1, 0, 19, tzinfo=UTC))
    printed_text, _ = backfill("sysstat", path)
    assert "Imported 9 rows" in printed_text
    assert "1 rows were left out because PerfWatch has samples of its own" in printed_text
    assert "Imported 1 rows" in backfill("sysstat", "--overlapping", path)[0]


def test_the_archive_policy_is_warned_of(file, installed):
    printed_text, _ = backfill("snapshots", file)
    assert "What is older than 30 days will be deleted" in printed_text
    assert "What is older than 7 days will become one row per 1 hour, within the hour." in (
        printed_text
    )
    ArchivePolicy.objects.update(archive_enabled=False, downsample_after_days=36_000)
    file.write_text("\n".join(lines(2, NOW - timedelta(days=1))))
    printed_text, _ = backfill("snapshots", file)
    assert "as archiving is off" in printed_text
    assert "one row per" not in printed_text


def test_what_was_imported_is_removed_by_its_source(file):
    backfill("snapshots", file)
    with pytest.raises(CommandError, match=r"There is: snapshots:web1 \(30 rows\)"):
        backfill("--remove", "demo")
    assert "Removed 30 rows of snapshots" in backfill("--remove", "snapshots")[0]
    assert not MetricsSnapshot.objects.exists()
    assert not Rollup.objects.exists()
    with pytest.raises(CommandError, match=r"Nothing was imported from 'snapshots'\. $"):
        backfill("--remove", "snapshots")


def test_two_imports_at_once_are_impossible(file):
    begun, over = threading.Event(), threading.Event()

    def hold():
        with only_one(running.JOB):
            begun.set()
            over.wait(20)
        connection.close()

    # In a session of its own: PostgreSQL gives a lock to the same session twice.
    other = threading.Thread(target=hold)
    other.start()
    begun.wait(20)
    try:
        with pytest.raises(CommandError, match="Another import is under way"):
            backfill("snapshots", file)
    finally:
        over.set()
        other.join()


def test_a_database_that_is_away_is_said_in_one_line(file, monkeypatch):
    def away(*_, **__):
        raise OperationalError("no route to host\nmore")

    monkeypatch.setattr(running, "store", away)
    with pytest.raises(CommandError, match=r"no route to host$"):
        backfill("snapshots", file)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say what to bring in"),
        (["snapshots", "missing.jsonl"], "missing.jsonl: No such file or directory."),
        (["sysstat", "."], None),
        (["sysstat", "/dev/null"], "/dev/null: is not a file."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, sentence, tmp_path):
    arguments = [tmp_path if one == "." else one for one in arguments]
    with pytest.raises(CommandError) as error:
        backfill(*arguments)
    assert (sentence or "there is no file like sa01") in str(error.value)
    assert "\n" not in str(error.value)


def test_progress_goes_to_standard_error(file, monkeypatch):
    monkeypatch.setattr(command, "PROGRESS_SECONDS", -1)
    _, told = backfill("snapshots", file)
    phases = [line.partition(":")[0] for line in told.splitlines()]
    assert list(dict.fromkeys(phases)) == ["checking", "writing", "rolling up"]


def test_progress_has_share_rate_and_time_left():
    step = running.Progress("writing", 0.25, 4_000)
    assert step_text(step, 2.0) == "writing: 25 %, 2,000 rows per second, 6 s left"


def test_the_first_step_of_a_phase_says_nothing_of_its_rate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])

    def steps():
        for phase in ("checking", "writing"):
            for share in (0.25, 0.5):
                now[0] += 2
                yield running.Progress(phase, share, int(share * 4_000))

    output = io.StringIO()
    command.Command(stderr=output)._follow(steps())
    assert output.getvalue().splitlines() == [
        "checking: 50 %, 1,000 rows per second, 2 s left",
        "writing: 50 %, 1,000 rows per second, 2 s left",
    ]


def test_a_page_takes_the_same_portions_one_at_a_time(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join(lines(running.MOST_ROWS + 10)))
    from metrics.importing.snapshots import SnapshotFile
    from metrics.importing.writing import store

    items = added = 0
    while True:
        input = SnapshotFile(str(path), path.stat().st_size, datetime.now(UTC) + timedelta(365))
        portion = next(running.portions(input, skip=items), None)
        if portion is None:
            break
        items = portion.items
        added += store(portion.rows).added
    assert added == items == running.MOST_ROWS + 10


@pytest.mark.django_db(transaction=True)
def test_kill_9_in_the_middle_and_again(tmp_path):
    count = 4_000
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join(lines(count)))
    process = subprocess.Popen(
        [sys.executable, "manage.py", "backfill", "snapshots", "--skip-bad", str(path)],
        env=Processes(tmp_path).environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not MetricsSnapshot.objects.exists():
            assert process.poll() is None
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    there = MetricsSnapshot.objects.count()
    assert 0 < there < count
    assert there % running.MOST_ROWS == 0
    printed_text, _ = backfill("snapshots", path)
    assert f"Imported {count - there:,} rows" in printed_text
    assert MetricsSnapshot.objects.count() == count
    chunks = Rollup.objects.filter(resolution=3600, collector="cpu")
    assert sum(sum(chunk.data["n"]) for chunk in chunks) == count
