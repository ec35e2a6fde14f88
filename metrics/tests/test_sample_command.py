import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from metrics.management.commands import sample
from metrics.tests.fake_host import make_host

ROOT = Path(__file__).parents[2]


def run(*arguments):
    out = io.StringIO()
    call_command("sample", *arguments, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "manage.py", "sample", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_one_sample_is_one_line_of_json():
    (document,) = run()
    assert document["cpu"]["core_count"] >= 1
    assert document["sampler"]["interval_seconds"] is None


def test_the_second_of_two_samples_has_rates():
    first, second = run("--count", "2", "--interval", "0.05")
    assert first["network"]["bytes_recv_per_sec"] is None
    assert second["network"]["bytes_recv_per_sec"] is not None
    assert second["sampler"]["interval_seconds"] == 0.05


def test_it_reads_the_host_that_the_settings_name(tmp_path, settings):
    host = make_host(tmp_path)
    settings.PERFWATCH_PROCFS = host.procfs
    settings.PERFWATCH_SYSFS = host.sysfs
    settings.PERFWATCH_ROOTFS = host.rootfs
    (document,) = run()
    assert document["host"]["name"] == "bluebell"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--count", value) for value in ("0", "-1", "1.5", "many", "", "9" * 5000)),
        *(("--interval", value) for value in ("0", "-1", "nan", "inf", "soon", "1e9")),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_option(option, value):
    with pytest.raises(CommandError) as caught:
        run(f"{option}={value}")
    assert option in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_says_that_rates_want_a_second_sample():
    assert "--count 2" in sample.Command.help


def test_ticks_do_not_drift_and_leave_out_those_that_passed(monkeypatch):
    now = [50.0]

    class FakeTime:
        monotonic = staticmethod(lambda: now[0])
        time = staticmethod(lambda: now[0] + 1000)

        @staticmethod
        def sleep(seconds):
            now[0] += seconds

    monkeypatch.setattr(sample, "time", FakeTime)
    ticks = sample._ticks(4, 2.0)
    found = []
    for due, cost in zip(ticks, (0.5, 3.0, 0.1, 0.0), strict=False):
        found.append((due, now[0]))
        now[0] += cost
    assert found == [(1050, 50), (1052, 52), (1056, 56), (1058, 58)]


def test_a_pipe_that_closes_ends_it_quietly():
    process = start("--count", "1000", "--interval", "0.01")
    json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_any_command_ends_quietly_where_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "manage.py", "help"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("output", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "no standard output")],
)
def test_an_output_that_takes_nothing_is_one_line(output, reason):
    command = ["sh", "-c", f'exec "$0" manage.py sample {output}', sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_control_c_ends_it_quietly():
    process = start("--count", "1000", "--interval", "5")
    json.loads(process.stdout.readline())
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == b""
