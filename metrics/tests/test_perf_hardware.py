"""Hardware events and what they mean together, on bytes and errors as the kernel gives them."""

import errno

import pytest

from metrics.collectors import lookup
from metrics.collectors.cpu import CpuReading
from metrics.kernel.cpus import counter_types
from metrics.kernel.host import Host
from metrics.kernel.perf import Counters
from metrics.kernel.perf_table import EVENTS, HARDWARE, HW_CACHE, SOFTWARE
from metrics.kernel.procfs import Stat
from metrics.tests.fake_host import Watch, write
from metrics.tests.fake_perf import FakePerf

SECOND = 10**9
CPUS = frozenset({0, 1})
LLC, MISS = 2, 1 << 16


@pytest.fixture
def kernel(monkeypatch):
    return FakePerf(monkeypatch, has_pmu=True)


@pytest.fixture
def watch(kernel, tmp_path):
    return Watch("perf_events", tmp_path)


def all_events(tmp_path):
    return Counters(Host("/nowhere", str(tmp_path / "sys")))


def busy(watch, *seconds):
    """What the CPU collector has read: so many seconds of work since boot on each CPU."""
    cores = {cpu: (int(s * 100), 0, 0, 7, 8, 0, 0, 0, 0, 0) for cpu, s in enumerate(seconds)}
    stat = Stat((), cores, None, None, None, None, None)
    watch.occasion.readings["cpu"] = CpuReading(stat, None, None, None)


class TestRatios:
    def test_ipc_and_misses(self, kernel, watch):
        kernel.pass_by(SECOND, h0=1_000_000, h1=1_500_000, h2=1_000, h3=250, h4=300_000, h5=3_000)
        section = watch.second(elapsed=2.0)
        assert (section["cycles"], section["instructions"]) == (2_000_000, 3_000_000)
        assert section["ipc"] == 1.5
        assert section["cache_miss_percent"] == 25
        assert section["branch_miss_percent"] == 1
        assert section["cache_misses_per_kilo_instruction"] == pytest.approx(1 / 6, rel=1e-5)
        assert section["branch_misses_per_kilo_instruction"] == 2
        assert section["instructions_per_sec"] == 1_500_000
        assert section["counted_seconds"] == 2.0

    def test_events_of_the_caches(self, kernel, watch):
        names = {LLC: 100, LLC | MISS: 5, 0: 1000, MISS: 20, 3: 500, 3 | MISS: 1, 4 | MISS: 9}
        kernel.pass_by(SECOND, **{f"k{config}": count for config, count in names.items()})
        section = watch.second()
        assert (section["llc_loads"], section["llc_load_miss_percent"]) == (200, 5)
        assert (section["l1d_loads"], section["l1d_load_miss_percent"]) == (2000, 2)
        assert (section["dtlb_loads"], section["dtlb_load_miss_percent"]) == (1000, 0.2)
        assert section["itlb_load_misses"] == 18

    def test_stalled_cycles_are_a_share_of_all(self, kernel, watch):
        kernel.pass_by(SECOND, h0=1_000, h7=100, h8=400)
        section = watch.second()
        assert section["stalled_frontend_percent"] == 10
        assert section["stalled_backend_percent"] == 40

    def test_a_ratio_without_its_inputs_is_unknown_and_never_0(self, kernel, watch):
        kernel.pass_by(SECOND, h0=0, h1=5, h3=5)
        section = watch.second()
        assert (section["instructions"], section["cache_misses"]) == (10, 10)
        assert section["ipc"] is None
        assert section["cache_miss_percent"] is None

    def test_the_frequency_is_that_of_busy_cpus(self, kernel, watch):
        busy(watch, 10, 10)
        watch.before = watch.read()
        busy(watch, 10.5, 10.1)
        kernel.pass_by(SECOND, h0=900_000_000)
        section = watch.second()
        assert section["busy_seconds"] == pytest.approx(0.6)
        assert section["effective_ghz"] == pytest.approx(3.0)

    @pytest.mark.parametrize("seconds", [(10.0, 9.9), (10.0,), (10.0, 10.0)])
    def test_without_sound_busy_time_there_is_no_frequency(self, kernel, watch, seconds):
        busy(watch, 10, 10)
        watch.before = watch.read()
        busy(watch, *seconds)
        kernel.pass_by(SECOND, h0=900)
        section = watch.second()
        assert section["effective_ghz"] is None
        assert section["cycles"] == 1_800

    def test_each_cpu_has_its_own(self, kernel, watch):
        kernel.pass_by(SECOND, h0=100, h1=50)
        kernel.values["h1", 1] = 300
        section = watch.second()
        assert section["per_cpu"]["0"] == {"cycles": 100, "instructions": 50, "ipc": 0.5}
        assert section["per_cpu"]["1"]["ipc"] == 3
        assert lookup({"perf_events": section}, "perf_events.per_cpu.1.ipc") == 3

    def test_what_shared_its_counters_is_scaled_up_and_says_so(self, kernel, watch):
        kernel.pass_by(SECOND, share=0.4, h0=1_000, h1=500)
        section = watch.second()
        assert (section["cycles"], section["ipc"]) == (5_000, 0.5)
        assert section["running_percent"] == 40

    def test_the_share_is_that_of_the_group_that_had_least(self, kernel, watch):
        kernel.pass_by(SECOND, share=0.25, k2=100)
        section = watch.second()
        assert section["llc_loads"] == 800
        assert section["running_percent"] == 25

    def test_what_never_ran_is_unknown(self, kernel, watch):
        kernel.pass_by(SECOND, share=0, k2=100)
        section = watch.second()
        assert (section["llc_loads"], section["llc_load_miss_percent"]) == (None, None)
        assert section["ipc"] is None
        assert section["context_switches"] == 0


class TestGroups:
    def test_what_is_divided_by_each_other_is_counted_at_the_same_times(self):
        groups = {event.name: event.group for event in EVENTS}
        for one, other in (
            ("instructions", "cycles"),
            ("cache_misses", "cache_references"),
            ("branch_misses", "branch_instructions"),
            ("l1d_load_misses", "l1d_loads"),
            ("llc_load_misses", "llc_loads"),
            ("dtlb_load_misses", "dtlb_loads"),
        ):
            assert groups[one] == groups[other]

    def test_no_group_of_the_hardware_needs_more_than_three_counters(self):
        hardware = [event.group for event in EVENTS if event.type != SOFTWARE]
        assert max(hardware.count(group) for group in hardware) <= 3

    def test_one_read_for_a_group_and_a_cpu(self, kernel, watch):
        kernel.reads = 0
        watch.second()
        assert kernel.reads == 2 * len({event.group for event in EVENTS})

    def test_what_does_not_fit_into_its_group_is_counted_alone(self, kernel, tmp_path):
        kernel.fits = 1
        reader = all_events(tmp_path)
        reader.read(CPUS)
        counts = reader.read(CPUS)
        assert {len(group.values) for group in counts.groups.values()} == {1}
        assert {name for group in counts.groups.values() for name in group.values} == {
            event.name for event in EVENTS
        }
        assert not counts.missing

    def test_ipc_is_told_even_if_its_events_do_not_fit_together(self, kernel, tmp_path):
        kernel.fits = 1
        watch = Watch("perf_events", tmp_path)
        watch.read()
        watch.before = watch.read()
        kernel.pass_by(SECOND, h0=100, h1=50)
        section = watch.second()
        assert section["ipc"] == 0.5
        assert section["per_cpu"]["1"] == {"cycles": 100, "instructions": 50, "ipc": 0.5}


class TestWhatIsMissing:
    def test_without_a_pmu_each_event_says_so_in_few_words(self, kernel, tmp_path):
        kernel.refuse = lambda type, config, cpu: None if type == SOFTWARE else errno.ENOENT
        kernel.own = lambda type: None if type == SOFTWARE else errno.ENOENT
        section = Watch("perf_events", tmp_path).second()
        hardware = {event.name for event in EVENTS if event.type != SOFTWARE}
        assert section["events"] == dict.fromkeys(hardware, "no PMU")
        assert section["reason"].count("virtual PMU,") == 1
        assert (section["available"], section["ipc"], section["per_cpu"]) == (True, None, {})

    def test_what_cannot_be_counted_takes_no_room_unless_the_schema_asks_for_it(
        self, kernel, tmp_path
    ):
        counted = Watch("perf_events", tmp_path / "all").second().keys()
        kernel.refuse = lambda type, config, cpu: None if type == SOFTWARE else errno.ENOENT
        kernel.own = lambda type: errno.ENOENT
        left = Watch("perf_events", tmp_path / "few").second()
        schema = {"cycles", "instructions", "ipc", "cache_miss_percent", "dtlb_load_misses"}
        assert schema <= left.keys()
        assert counted - left.keys() >= {"llc_loads", "effective_ghz", "busy_seconds", "l1d_loads"}
        assert {"context_switches", "counted_seconds"} <= left.keys()

    def test_an_event_that_the_cpu_lacks_costs_no_other(self, kernel, tmp_path):
        missing = (HW_CACHE, LLC)
        kernel.refuse = lambda type, config, cpu: errno.ENOENT if (type, config) == missing else 0
        kernel.own = lambda type: errno.ENOENT
        watch = Watch("perf_events", tmp_path)
        kernel.pass_by(SECOND, h0=4, h1=8, k65538=6)
        section = watch.second()
        assert section["events"] == {"llc_loads": "not on this CPU"}
        assert section["reason"] == "This CPU has no counter for some of the events."
        assert (section["ipc"], section["llc_load_misses"]) == (2, 12)
        assert section["llc_load_miss_percent"] is None

    def test_an_event_that_one_of_the_cpus_lacks_is_not_added_up(self, kernel, tmp_path):
        kernel.refuse = lambda type, config, cpu: (
            errno.ENOENT if (type, config, cpu) == (HARDWARE, 3, 1) else 0
        )
        kernel.own = lambda type: errno.ENOENT
        watch = Watch("perf_events", tmp_path)
        kernel.pass_by(SECOND, h2=10, h3=5)
        section = watch.second()
        assert section["events"] == {"cache_misses": "On CPUs 1: not on this CPU"}
        assert (section["cache_references"], section["cache_misses"]) == (20, None)

    def test_what_the_machine_lacks_is_asked_of_one_cpu_only(self, kernel, tmp_path):
        kernel.refuse = lambda type, config, cpu: errno.ENOENT
        all_events(tmp_path).read(frozenset(range(64)))
        assert len(kernel.system_wide()) == len(EVENTS)


class TestTwoKindsOfCpu:
    """Hybrid x86 and big.LITTLE: CPUs 0-1 have counters of type 4, CPUs 2-3 of type 10."""

    @pytest.fixture
    def hybrid(self, tmp_path):
        folder = "bus/event_source/devices"
        for name, number, cpus in (("cpu_core", 4, "0-1"), ("cpu_atom", 10, "2-3")):
            write(tmp_path / "sys", f"{folder}/{name}/type", f"{number}\n")
            write(tmp_path / "sys", f"{folder}/{name}/cpus", f"{cpus}\n")
        write(tmp_path / "sys", f"{folder}/uncore_imc/type", "20\n")
        write(tmp_path / "sys", f"{folder}/uncore_imc/cpumask", "0\n")
        return Host("/nowhere", str(tmp_path / "sys"))

    def test_each_cpu_knows_its_type(self, hybrid):
        assert counter_types(hybrid) == {0: 4, 1: 4, 2: 10, 3: 10}

    def test_one_type_is_none(self, tmp_path):
        write(tmp_path / "sys", "bus/event_source/devices/armv8_pmuv3/type", "8\n")
        write(tmp_path / "sys", "bus/event_source/devices/armv8_pmuv3/cpus", "0-3\n")
        assert counter_types(Host("/proc", str(tmp_path / "sys"))) == {}

    def test_events_are_opened_by_type_and_summed(self, kernel, hybrid):
        reader = Counters(hybrid)
        counts = reader.read(frozenset({0, 2}))
        configs = {
            (call[3], call[1])
            for call in kernel.system_wide()
            if call[0] == HARDWARE and call[1] & 0xFFFFFFFF == 1
        }
        assert configs == {(0, 4 << 32 | 1), (2, 10 << 32 | 1)}
        kernels = {call[1] for call in kernel.system_wide() if call[0] == SOFTWARE}
        assert max(kernels) < 1 << 32
        assert {cpu for cpu, name in counts.groups if name == "core"} == {0, 2}

    @pytest.mark.parametrize("number", [errno.ENOENT, errno.EINVAL])
    def test_kernels_without_types_of_counters_are_asked_the_old_way(self, kernel, hybrid, number):
        kernel.refuse = lambda type, config, cpu: number if config >> 32 else None
        counts = Counters(hybrid).read(frozenset({0, 2}))
        assert counts.groups[2, "core"].values == {"cycles": 0, "instructions": 0}
        assert not counts.missing
