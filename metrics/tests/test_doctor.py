"""`manage.py doctor`: what it says, and when it fails."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from metrics import perf_stat
from metrics.collectors.perf_events import SOFTWARE
from metrics.doctor import host
from metrics.kernel.perf_table import EVENTS
from metrics.models import Config
from metrics.tests.builders import stored
from metrics.tests.fake_host import make_host
from metrics.tests.permissions import forbid, take_capabilities
from metrics.watched import watched_host
from perfwatch_site.tests.workplace import free_port

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installed")]


def now():
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(host, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(perf_stat, "SECONDS", 0.1)
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/proc")  # which is set for the watched host


def run(*arguments):
    """The exit status, and what was printed."""
    out = io.StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as end:
        return end.code, out.getvalue()
    return 0, out.getvalue()


def found(section, name):
    _, text = run("--json")
    return [
        one
        for one in json.loads(text)["findings"]
        if (one["section"], one["name"]) == (section, name)
    ]


def test_a_host_that_samples_is_healthy_whatever_it_cannot_count():
    stored(now())
    status, text = run()
    assert status == 0, text
    assert "newest: 0 s old" in text
    assert "migrations: all applied" in text
    assert len(text.splitlines()) < 60


def test_json_says_the_same_of_each_event_and_collector():
    stored(now())
    status, text = run("--json")
    said = json.loads(text)
    assert (status, said["healthy"]) == (0, True)
    names = {one["name"] for one in said["findings"]}
    assert {"cpu", "memory", "processes", "sampling", "retention", "kernel"} <= names
    counted = {one["name"] for one in said["findings"] if one["section"] == "counters"}
    assert {event.name for event in EVENTS} <= counted or "events" in counted


def choose(cpus, enabled=True):
    value = {"perf_events_enabled": enabled, "perf_events_cpus": cpus}
    Config.objects.filter(key="features").update(value=value)


def test_counters_that_are_switched_off_are_a_note():
    choose("all", enabled=False)
    (one,) = found("counters", "events")
    assert (one["level"], one["text"]) == ("note", "Switched off in the settings.")


def test_counters_are_those_of_the_selected_cpus():
    choose("4095")
    (one,) = found("counters", "events")
    assert (one["level"], one["text"]) == ("warning", "Of the selected CPUs 4095 are not online.")


def test_a_selection_that_is_none_fails_by_name_and_costs_no_collector():
    choose(5)
    assert found("collectors", "perf_events")[0]["level"] == "ok"
    (one,) = found("configuration", "features")
    assert one["level"] == "failed"
    assert "features.perf_events_cpus must be" in one["text"]


def test_what_the_sampler_counts_is_told_beside_what_the_doctor_may():
    stored(now(), perf_events__cpus="0-63")
    assert found("samples", "counters")[0]["text"] == "the newest counts events on CPUs 0-63"
    stored(now(), perf_events__reason="A seccomp filter forbids it.")
    (one,) = found("samples", "counters")
    assert one["level"] == "note"
    assert one["text"] == "the newest counts no events: A seccomp filter forbids it."


def test_samples_that_are_too_old_are_a_failure_with_a_remedy():
    stored(now() - timedelta(minutes=3))
    status, text = run()
    assert status == 1
    assert "FAILED  newest: 3 min" in text
    assert "→ The sampler does not run" in text


def test_no_sample_yet_is_a_warning():
    assert run()[0] == 0
    (one,) = found("samples", "newest")
    assert (one["level"], one["text"]) == ("warning", "there is none yet.")


def test_settings_that_are_nonsense_are_named():
    Config.objects.filter(key="sampling").update(value={"interval_seconds": 0})
    status, text = run()
    assert status == 1
    assert "sampling.interval_seconds must be a whole number" in text


def test_it_changes_nothing():
    stored(now())
    tables = ("config", "metrics_snapshot", "metrics_rollup", "django_admin_log")

    def contents():
        with connection.cursor() as cursor:
            rows = []
            for table in tables:
                cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
                rows.append(cursor.fetchall())
        return rows

    before = contents()
    run()
    assert contents() == before


@pytest.mark.filterwarnings("ignore:active, inactive:RuntimeWarning")
def test_a_collector_without_its_files_is_a_note(tmp_path, settings):
    made = make_host(tmp_path)
    (tmp_path / "proc" / "vmstat").unlink()
    settings.PERFWATCH_PROCFS, settings.PERFWATCH_SYSFS = made.procfs, made.sysfs
    (paging,) = found("collectors", "memory_bandwidth")
    assert paging["level"] == "note"
    assert "vmstat does not exist" in paging["text"]
    (roots,) = found("host", "roots")
    assert f"PERFWATCH_PROCFS={made.procfs}" in roots["text"]


def test_roots_that_are_none_are_a_failure_of_one_line(tmp_path, settings):
    settings.PERFWATCH_PROCFS = settings.PERFWATCH_SYSFS = str(tmp_path)
    status, text = run()
    assert status == 1
    assert f"FAILED  kernel: {tmp_path} cannot be read" in text


def test_a_broker_that_does_not_answer_is_a_failure(settings):
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    (one,) = found("broker", "Redis")
    assert one["level"] == "failed"
    assert "REDIS_URL" in one["remedy"]


def test_a_broker_that_answers_says_its_version(settings, redis_url):
    settings.REDIS_URL = redis_url
    (one,) = found("broker", "Redis")
    assert one["level"] == "ok"


def test_a_full_disk_is_a_failure(monkeypatch):
    usage = shutil._ntuple_diskusage(10**12, 10**12 - 10**8, 10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (one,) = found("disk space", "data folder")
    assert one["level"] == "failed"


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="these are PostgreSQL's settings")
def test_settings_of_the_server_are_compared_with_those_that_the_docs_start_from():
    with connection.cursor() as cursor:
        cursor.execute("SET random_page_cost = 3")
        cursor.execute("SET default_statistics_target = 100")
    (one,) = found("database", "random_page_cost")
    assert one["level"] == "note"
    assert one["text"].startswith("3;")
    assert not found("database", "default_statistics_target")
    (tls,) = found("database", "TLS")
    assert tls["level"] == "ok"
    assert found("database", "user")


def doctor_of(tmp_path, prepare=None, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        preexec_fn=prepare,
        env=os.environ | {"PERFWATCH_DATA_DIR": str(tmp_path / "data"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_a_database_file_none_is_made(tmp_path):
    done = doctor_of(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")
    assert done.returncode == 1
    assert "none.sqlite3 does not exist." in done.stdout
    assert not list(tmp_path.rglob("*.sqlite3*"))
    assert done.stderr == ""


def test_a_server_that_is_away_is_one_line(tmp_path):
    url = f"postgres://me:secret@127.0.0.1:{free_port()}/perfwatch"
    done = doctor_of(tmp_path, DATABASE_URL=url)
    assert done.returncode == 1
    assert "FAILED  connection: " in done.stdout
    assert "secret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
def test_below_a_seccomp_filter_the_reason_is_one_line(tmp_path, number):
    database = f"sqlite:///{tmp_path}/none.sqlite3"
    done = doctor_of(tmp_path, prepare=lambda: forbid(number), DATABASE_URL=database)
    assert "WARNING events: A seccomp filter forbids perf_event_open" in done.stdout
    assert "FAILED  perf_events" not in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to lose")
def test_root_without_the_capabilities_is_told_that_they_are_out_of_reach(tmp_path):
    database = f"sqlite:///{tmp_path}/none.sqlite3"
    done = doctor_of(tmp_path, prepare=take_capabilities, DATABASE_URL=database)
    assert "has neither PERFMON nor SYS_ADMIN, and may not be given them" in done.stdout


class TestCompare:
    @pytest.fixture
    def perf(self, tmp_path, monkeypatch):
        """A perf(1) of before 5.10 that says what it is told: the real one says what there is."""

        def say(text, status=0):
            program = tmp_path / "perf"
            program.write_text(
                '#!/bin/sh\ncase "$*" in *--control*) exit 129;; esac\n'
                f"[ {status} = 0 ] && cat\ncat >&2 <<'END'\n{text}\nEND\nexit {status}\n"
            )
            program.chmod(0o755)
            monkeypatch.setattr(perf_stat, "PATH", str(tmp_path) + ":/usr/bin:/bin")

        return say

    @pytest.mark.skipif(not shutil.which("perf", path=perf_stat.PATH), reason="there is no perf")
    def test_software_counters_agree_with_those_of_perf_over_the_same_time(self):
        try:
            # Whatever else runs, the true count lies between our readings around perf's.
            found = perf_stat.compare(watched_host(), 1)
        except perf_stat.Unavailable as error:
            pytest.skip(str(error))
        counted = {one.name: one for one in found if one.theirs is not None}
        assert {field.path.partition(".")[2] for field in SOFTWARE} <= counted.keys()
        assert [one for one in counted.values() if not one.agrees] == []

    def test_both_counts_stand_beside_each_other(self, perf):
        perf(
            "1000;;context-switches;4000000000;100.00;0.1;K/sec\n"
            "<not supported>;;cycles;0;100.00;;\n"
            "7;;page-faults;4000000000;100.00;;"
        )
        rows = {one.name: one for one in perf_stat.compare(watched_host(), 0)}
        assert rows["context_switches"].theirs == 1000
        assert rows["page_faults"].theirs == 7
        assert rows["cycles"].theirs is None
        assert rows["cycles"].percent is None

    @pytest.mark.parametrize(
        ("least", "most", "theirs", "percent", "agrees"),
        [
            (1000, 1080, 1000, 4, True),
            (1090, 1110, 1000, 10, False),
            (2, 8, 3, pytest.approx(66.7, abs=0.1), True),
            (2, 4, 6, -50, False),
            (0, 0, 0, None, True),
            (3, 5, 0, None, False),
            (None, None, 5, None, None),
            (3, 5, None, None, None),
        ],
    )
    def test_both_agree_within_a_twentieth_or_what_the_readings_leave_open(
        self, least, most, theirs, percent, agrees
    ):
        one = perf_stat.Compared("x", least, most, theirs)
        assert (one.percent, one.agrees) == (percent, agrees)

    def test_what_differs_is_marked(self, perf):
        perf("123456789012;;context-switches;1;100.00;;")
        if all(one.ours is None for one in perf_stat.compare(watched_host(), 0)):
            pytest.skip("this user may not count the whole machine")
        status, text = run("--compare")
        assert status == 0
        assert "-100.0 %  differs" in text
        assert "0 of 1 events" in text

    def test_what_perf_refuses_is_one_line(self, perf):
        perf("Error:\nAccess to performance monitoring\nis limited.", status=255)
        with pytest.raises(CommandError, match=r"^Error: Access to performance monitoring is lim"):
            run("--compare")

    def test_without_perf_the_package_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setattr(perf_stat, "PATH", str(tmp_path))
        with pytest.raises(CommandError, match="linux-perf"):
            run("--compare")
