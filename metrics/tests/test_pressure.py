import errno
import os

import pytest

from metrics.collectors import field_of
from metrics.kernel import files
from metrics.kernel.pressure import parse_pressure
from metrics.sampling import Sampler
from metrics.tests.fake_host import Watch, make_host, pressure


def test_pressure_is_as_the_kernel_averages_it(tmp_path):
    text = "some avg10=8.05 avg60=32.26 avg300=13.34 total=289516668\n"
    (stall,) = parse_pressure(text.encode()).values()
    assert stall == (8.05, 32.26, 13.34, 289516668)
    cpu = Watch("pressure", tmp_path, pressure_cpu=text).first()["cpu"]
    assert (cpu["some_avg10"], cpu["some_avg300"], cpu["some_stall_percent"]) == (8.05, 13.34, None)


def test_the_stall_since_the_last_sample_is_the_share_of_the_time_that_passed(tmp_path):
    watch = Watch("pressure", tmp_path, pressure_io=pressure(some=1_000_000, full=0))
    io = watch.second(pressure_io=pressure(some=1_500_000, full=200_000))["io"]
    assert (io["some_stall_percent"], io["full_stall_percent"]) == (25, 10)


def test_a_stall_never_exceeds_100_and_is_unknown_after_a_reset(tmp_path):
    watch = Watch("pressure", tmp_path, pressure_io=pressure(some=1_000, full=1_000))
    io = watch.second(pressure_io=pressure(some=2_002_000, full=10))["io"]
    assert io["some_stall_percent"] > 100 - 0.1
    assert io["some_stall_percent"] <= 100
    assert io["full_stall_percent"] is None


def test_a_line_that_the_kernel_does_not_have_is_unknown(tmp_path):
    text = pressure(some=5, full=5).split("full")[0]
    memory = Watch("pressure", tmp_path, pressure_memory=text).first()["memory"]
    assert (memory["some_avg10"], memory["full_avg10"]) == (0.1, None)


def test_a_kernel_without_pressure_has_no_data(tmp_path):
    host = make_host(tmp_path, without=("pressure/cpu", "pressure/memory", "pressure/io"))
    data = Sampler(host).sample().data
    assert data["sampler"]["status"]["pressure"].startswith("no data: This kernel does not")
    assert data["pressure"]["cpu"] == dict.fromkeys(
        ("some_avg10", "some_avg60", "some_avg300", "some_stall_percent")
    )


def test_a_kernel_in_which_pressure_is_switched_off_has_no_data(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, *rest):
        if "/pressure/" in str(path):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)
        return real(path, *rest)

    monkeypatch.setattr(files.os, "open", refuse)
    status = Sampler(make_host(tmp_path)).sample().data["sampler"]["status"]["pressure"]
    assert "switched off" in status


@pytest.mark.parametrize("path", ["cpu.some_avg10", "memory.full_avg10", "io.some_avg10"])
def test_short_averages_have_levels(path):
    assert field_of(f"pressure.{path}").levels
