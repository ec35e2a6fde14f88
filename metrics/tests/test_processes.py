import os
import time

import pytest

from metrics.collectors import COLLECTORS, processes
from metrics.collectors.base import Occasion
from metrics.collectors.processes import is_alarming
from metrics.kernel import processes as kernel
from metrics.kernel.host import Host
from metrics.kernel.processes import Walk, parse_process
from metrics.tests.fake_host import Watch, make_host, process, write

CALM = {"cpu": {"usage_percent": 10.0}, "pressure": {"io": {"some_avg10": 0.0}}}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that both the collector and the kernel code see."""
    now = [100.0]

    class FakeTime:
        monotonic = staticmethod(lambda: now[0])

    monkeypatch.setattr(processes, "time", FakeTime)
    monkeypatch.setattr(Walk.__init__, "__defaults__", (FakeTime.monotonic,))
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100, "SC_PAGE_SIZE": 4096}.get)
    return now


class Machine:
    """A fake host with 2 CPUs, whose processes are set by `run`; a look reads and gives tables."""

    def __init__(self, tmp_path, clock):
        self.tmp_path, self.clock = tmp_path, clock
        self.watch = None

    def run(self, **lines):
        for pid, line in lines.items():
            write(self.tmp_path / "proc", f"{pid}/stat", line)

    def look(self, after=0.0, previous=CALM):
        self.clock[0] += after
        if self.watch is None:
            self.watch = Watch("processes", self.tmp_path)
            return self.watch.first()
        self.watch.occasion.previous = previous
        return self.watch.collector.document(self.watch.read(), None, None)


@pytest.fixture
def host(tmp_path, clock):
    return Machine(tmp_path, clock)


def test_a_line_is_parsed_whatever_the_name_is():
    name = 'a) S 1 2 (b <i>"\\'
    one = parse_process(process(77, name, ticks=9, started=5, pages=3).encode(), 1.5, 4096)
    assert one == (77, name, 9, 5, 3 * 4096, 1.5)


def test_user_and_system_time_add_up():
    line = process(7, ticks=30).replace(" 30 0 0 0 20", " 30 12 99 99 20")
    assert parse_process(line.encode(), 0.0, 1).ticks == 42


def test_the_first_look_knows_memory_and_the_second_cpu(host):
    host.run(**{"42": process(42, "db", ticks=100, pages=500)})
    first = host.look()
    assert first["top_cpu"] == {}
    assert [row["name"] for row in first["top_memory"].values()] == ["db", "init"]
    assert first["top_memory"]["1"] == {
        "pid": 42,
        "name": "db",
        "user": str(os.getuid()),
        "cpu_percent": None,
        "rss_bytes": 500 * 4096,
    }
    host.run(**{"42": process(42, "db", ticks=300, pages=500)})
    second = host.look(after=5)
    # 2 of the 10 CPU seconds that two CPUs have in 5 s
    assert second["top_cpu"]["1"]["cpu_percent"] == 20
    assert second["top_memory"]["1"]["cpu_percent"] == 20


def test_only_the_five_highest_are_named_highest_first(host):
    for ticks, turn in ((0, host.look), (1, lambda: host.look(after=5))):
        host.run(**{str(n): process(n, f"p{n}", ticks=ticks * n, pages=n) for n in range(10, 20)})
        tables = turn()
    assert [row["pid"] for row in tables["top_cpu"].values()] == [19, 18, 17, 16, 15]
    assert list(tables["top_memory"]) == ["1", "2", "3", "4", "5"]


def test_a_process_that_took_over_a_number_has_no_usage_yet(host):
    host.run(**{"42": process(42, ticks=100, started=1)})
    host.look()
    host.run(**{"42": process(42, ticks=900, started=2, pages=999)})
    tables = host.look(after=5)
    assert tables["top_cpu"] == {}
    assert tables["top_memory"]["1"]["cpu_percent"] is None


def test_between_looks_the_tables_are_empty_and_nothing_is_read(host, monkeypatch):
    host.look()
    host.look(after=5)
    monkeypatch.setattr(Walk, "__call__", lambda self: pytest.fail("walked"))
    assert host.look(after=29) == {"top_cpu": {}, "top_memory": {}}


def test_after_half_a_minute_it_looks_again(host):
    host.look()
    host.look(after=5)
    assert host.look(after=30)["top_memory"]


@pytest.mark.parametrize(
    ("previous", "alarming"),
    [
        ({"cpu": {"usage_percent": 95.0}}, True),
        ({"cpu": {"usage_percent": 94.0}}, False),
        ({"pressure": {"memory": {"full_avg10": 31.0}}}, True),
        ({"pressure": {"cpu": {"some_avg10": 55.0}}}, True),
        ({"cpu": {"usage_percent": None, "iowait_percent": 99.0}}, False),
        ({}, False),
    ],
)
def test_it_looks_when_cpu_or_pressure_was_critical_in_the_sample_before(host, previous, alarming):
    host.look()
    host.look(after=5)
    assert is_alarming(previous) is alarming
    assert bool(host.look(after=10, previous=previous)["top_memory"]) is alarming


def test_while_samples_are_alarming_it_looks_every_ten_seconds(host):
    host.look()
    host.look(after=1)
    busy = {"cpu": {"usage_percent": 99.0}}
    looks = [bool(host.look(after=1, previous=busy)["top_memory"]) for _ in range(30)]
    assert [second for second, looked in enumerate(looks, 1) if looked] == [10, 20, 30]


def test_users_have_the_names_of_the_hosts_own_file(host):
    write(host.tmp_path / "root", "etc/passwd", f"x:x:z:\nme:x:{os.getuid()}:0::/:/bin/sh\n\nroot")
    assert host.look()["top_memory"]["1"]["user"] == "me"


def test_a_look_takes_20_ms_of_a_sample_and_goes_on_in_the_next(tmp_path, monkeypatch):
    for pid in range(1, 101):
        write(tmp_path / "proc", f"{pid}/stat", process(pid))
    now = [0.0]

    def clock():
        now[0] += 0.009
        return now[0]

    walk = Walk(Host(str(tmp_path / "proc")), clock=clock)
    turns = [walk() for _ in range(3)]
    assert turns[:2] == [None, None]
    assert {one.pid for one in turns[2]} == set(range(1, 101))
    assert not walk.is_under_way


def test_a_process_that_ends_meanwhile_is_left_out(tmp_path):
    make_host(tmp_path)
    (tmp_path / "proc" / "99").mkdir()
    assert [one.pid for one in Walk(Host(str(tmp_path / "proc")))()] == [1]


def test_no_command_line_is_read(tmp_path):
    watch = Watch("processes", tmp_path, **{"1_cmdline": "mysql --password=secret"})
    assert "secret" not in str(watch.second())


def test_a_busy_process_of_this_host_is_found(monkeypatch):
    monkeypatch.setattr(kernel, "LONGEST_TURN_SECONDS", 60.0)
    (collector,) = (c for c in COLLECTORS if c.name == "processes")
    read = collector.open(Host(), Occasion())
    read()
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass
    tables = collector.document(read(), None, None)
    mine = [row for row in tables["top_cpu"].values() if row["pid"] == os.getpid()]
    assert mine
    assert mine[0]["cpu_percent"] > 5
    assert mine[0]["rss_bytes"] > 10_000_000
