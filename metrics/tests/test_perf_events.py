import errno
import resource

import pytest

from metrics.collectors.perf_events import FIELDS
from metrics.kernel import perf, perf_call
from metrics.kernel.cpus import format_cpus, parse_cpus
from metrics.kernel.host import Host
from metrics.kernel.perf import Counters
from metrics.kernel.perf_table import EVENTS, HARDWARE, SOFTWARE, Event
from metrics.tests.fake_host import Watch, write
from metrics.tests.fake_perf import FakePerf, open_descriptors

SECOND = 10**9
CYCLES = Event("cycles", HARDWARE, 0, "core")
INSTRUCTIONS = Event("instructions", HARDWARE, 1, "core")
CPUS = frozenset({0, 1})
KERNELS = [event for event in EVENTS if event.type == SOFTWARE]


@pytest.fixture
def kernel(monkeypatch):
    return FakePerf(monkeypatch)


@pytest.fixture
def watch(kernel, tmp_path):
    return Watch("perf_events", tmp_path)


def counters(*events):
    now = [0.0]
    host = Host("/nowhere", "/nowhere")
    reader = Counters(host, events or KERNELS, clock=lambda: now[0])
    return reader, now


class TestTheCall:
    def test_events_are_of_whole_cpus_in_groups_that_are_read_at_once(self, kernel, watch):
        software = 1
        first, *rest = [call for call in kernel.system_wide() if call[0] == software][:5]
        assert first[:5] == (software, 3, -1, 0, -1)
        assert [call[:4] for call in rest] == [(software, n, -1, 0) for n in (4, 2, 5, 6)]
        assert {call[4] for call in rest} == {next(iter(kernel.leaders))}
        assert {call[5:] for call in kernel.system_wide()} == {(1 | 2 | 8, 0)}
        assert kernel.reads == 2

    def test_an_unknown_machine_says_so(self, monkeypatch):
        monkeypatch.setattr(perf_call.platform, "machine", lambda: "vax")
        with pytest.raises(OSError, match="vax"):
            perf_call.system_call(b"", 0, -1, -1)


class TestCounts:
    def test_a_count_is_the_growth_on_all_cpus_since_the_last_sample(self, kernel, watch):
        assert watch.first()["context_switches"] is None
        kernel.pass_by(SECOND, c3=100, c6=1)
        section = watch.second()
        assert section["context_switches"] == 200
        assert (section["major_faults"], section["cpu_migrations"]) == (2, 0)
        assert (section["running_percent"], section["cpus"]) == (100, "0-1")
        assert section["available"] is True

    def test_a_group_that_shared_its_counters_is_scaled_up(self, kernel, watch):
        kernel.pass_by(SECOND, share=0.25, c3=100)
        section = watch.second()
        assert (section["context_switches"], section["running_percent"]) == (800, 25)

    def test_what_never_ran_was_not_counted(self, kernel, watch):
        kernel.pass_by(SECOND, share=0)
        section = watch.second()
        assert (section["context_switches"], section["running_percent"]) == (None, 0)

    def test_every_event_of_the_table_is_declared(self):
        assert {f"perf_events.{event.name}" for event in EVENTS} <= {f.path for f in FIELDS}

    def test_hardware_events_are_rows_more(self, monkeypatch):
        kernel = FakePerf(monkeypatch, has_pmu=True)
        reader, _ = counters(*KERNELS, CYCLES, INSTRUCTIONS)
        before = reader.read(CPUS).groups[1, "core"].values
        kernel.pass_by(SECOND, h0=9, h1=5)
        after = reader.read(CPUS).groups[1, "core"].values
        assert before == {"cycles": 0, "instructions": 0}
        assert after == {"cycles": 9, "instructions": 5}


class TestWhatCannotBeOpened:
    def test_an_event_is_left_out_of_its_group_with_its_reason(self, kernel):
        kernel.refuse = lambda type, config, cpu: errno.ENOENT if config == 0 else None
        kernel.own = lambda type: errno.ENOENT
        reader, _ = counters(CYCLES, INSTRUCTIONS)
        counts = reader.read(CPUS)
        assert counts.groups[0, "core"].values == {"instructions": 0}
        assert counts.missing.keys() == {"cycles"}
        assert counts.missing["cycles"].words == "not on this CPU"

    @pytest.mark.parametrize(
        ("number", "own", "words"),
        [
            (errno.EACCES, None, "capability PERFMON, or set kernel.perf_event_paranoid to 0"),
            (errno.EACCES, errno.ENOENT, "virtual PMU"),
            (errno.ENOENT, errno.ENOENT, "virtual PMU"),
            (errno.EPERM, errno.EPERM, "seccomp filter"),
            (errno.EPERM, None, "not permitted"),
            (errno.ENOSYS, errno.ENOSYS, "CONFIG_PERF_EVENTS"),
            (errno.EBUSY, None, "Another program"),
            (errno.ENODEV, None, "not online"),
            (errno.EINVAL, None, "EINVAL, Invalid argument"),
        ],
    )
    def test_the_reason_comes_from_asking_twice(self, kernel, number, own, words):
        kernel.refuse = lambda *_: number
        kernel.own = lambda *_: own
        counts = counters(CYCLES)[0].read(CPUS)
        assert words in counts.missing["cycles"].sentence
        assert counts.missing["cycles"].sentence.endswith(".")
        assert not counts.missing["cycles"].words.endswith(".")
        assert not counts.groups

    @pytest.mark.parametrize(
        ("number", "own", "paranoid", "words"),
        [
            (errno.ENOSYS, errno.ENOSYS, "2", "A seccomp filter forbids perf_event_open"),
            (errno.EACCES, None, "1", "perf_event_paranoid to 0 (it is 1;"),
            (errno.EACCES, errno.EACCES, "3", "perf_event_paranoid to 0 (it is 3;"),
            (errno.EACCES, None, "0", "though kernel.perf_event_paranoid is 0: a security module"),
            (errno.EACCES, errno.EACCES, "-1", "though kernel.perf_event_paranoid is -1: a"),
        ],
    )
    def test_how_paranoid_the_kernel_is_tells_who_forbids(
        self, kernel, number, own, paranoid, words
    ):
        kernel.refuse, kernel.own = lambda *_: number, lambda *_: own
        assert words in perf_call.why(CYCLES, number, paranoid).sentence

    def test_a_machine_whose_number_is_not_known_blames_nobody(self, monkeypatch):
        monkeypatch.setattr(perf_call.platform, "machine", lambda: "vax")
        reason = perf_call.why(CYCLES, errno.ENOSYS, "2")
        assert "does not know the number of perf_event_open" in reason.sentence

    def test_a_missing_software_event_blames_the_kernel_and_no_pmu(self, kernel):
        kernel.refuse, kernel.own = lambda *_: errno.ENOENT, lambda *_: errno.ENOENT
        assert "kernel does not know" in counters()[0].read(CPUS).missing["page_faults"].sentence

    def test_without_permission_the_section_says_why_and_how_far_paranoia_goes(
        self, kernel, tmp_path
    ):
        kernel.refuse = lambda *_: errno.EACCES
        watch = Watch("perf_events", tmp_path)
        write(tmp_path / "proc", "sys/kernel/perf_event_paranoid", "2\n")
        watch.occasion.features = {"perf_events_cpus": "0"}
        section = watch.second()
        assert (section["available"], section["cpus"]) == (False, None)
        assert "it is 2" in section["reason"]
        assert section["events"].keys() == {event.name for event in EVENTS}
        assert section["context_switches"] is None

    def test_an_event_that_fails_on_some_cpus_counts_on_the_others(self, kernel):
        kernel.refuse = lambda type, config, cpu: errno.ENODEV if cpu == 1 else None
        counts = counters()[0].read(CPUS)
        assert {cpu for cpu, _ in counts.groups} == {0}
        assert counts.missing["page_faults"].words == "On CPUs 1: CPU offline"
        assert counts.missing["page_faults"].sentence == "On CPUs 1: The CPU is not online."

    def test_it_is_tried_again_after_half_a_minute_only(self, kernel):
        kernel.refuse = lambda *_: errno.EACCES
        reader, now = counters(CYCLES)
        reader.read(CPUS)
        kernel.refuse = lambda *_: None
        asked = len(kernel.calls)
        now[0] = 29.0
        assert not reader.read(CPUS).groups
        assert len(kernel.calls) == asked
        now[0] = 30.0
        counts = reader.read(CPUS)
        assert (len(counts.groups), counts.missing) == (2, {})


class TestDescriptors:
    def test_few_descriptors_raise_the_soft_limit_to_the_hard_one(self, kernel, monkeypatch):
        limits = [(10, 1000)]
        monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
        monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.append(new))
        kernel.refuse = lambda *_: errno.EMFILE if limits[-1][0] == 10 else None
        assert len(counters()[0].read(CPUS).groups) == 2
        assert limits[1:] == [(1000, 1000)]

    def test_when_they_do_not_suffice_all_are_given_back(self, kernel, monkeypatch):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 10))
        kernel.refuse = lambda type, config, cpu: errno.EMFILE if cpu == 1 else None
        before = open_descriptors()
        reader, _ = counters()
        counts = reader.read(CPUS)
        assert not counts.groups
        assert "ulimit -n" in counts.missing["page_faults"].sentence
        assert open_descriptors() == before
        assert not reader.read(CPUS).groups

    def test_the_last_ones_are_left_to_the_rest_of_the_program(self, kernel, monkeypatch):
        free = min(set(range(200)) - set(map(int, open_descriptors())))
        few = free + len(KERNELS) + 10
        monkeypatch.setattr(resource, "getrlimit", lambda _: (few, few))
        before = open_descriptors()
        counts = counters()[0].read(CPUS)
        assert not counts.groups
        assert "ulimit -n" in counts.missing["page_faults"].sentence
        assert open_descriptors() == before

    def test_they_close_with_the_reader(self, kernel):
        before = open_descriptors()
        reader, _ = counters()
        reader.read(CPUS)
        assert len(open_descriptors() - before) == 2 * len(KERNELS)
        del reader
        assert open_descriptors() == before

    def test_what_is_lost_is_opened_again_at_the_next_sample(self, kernel, watch):
        kernel.lost = {1}
        kernel.pass_by(SECOND, c3=100)
        assert watch.second()["context_switches"] is None
        kernel.lost = set()
        watch.before = watch.read()
        kernel.pass_by(SECOND, c3=100)
        assert watch.second()["context_switches"] == 200

    def test_the_sample_after_a_loss_is_unknown_too(self, kernel, watch):
        kernel.lost = {1}
        watch.before = watch.read()
        kernel.lost = set()
        kernel.pass_by(SECOND, c3=100)
        assert watch.second()["context_switches"] is None

    def test_one_that_somebody_else_closed_is_not_closed_again(self, kernel, monkeypatch):
        reader, _ = counters()
        reader.read(CPUS)

        def refuse(descriptor, size):
            raise OSError(errno.EBADF, "Bad file descriptor")

        closed = []
        with monkeypatch.context() as patch:
            patch.setattr(perf.os, "read", refuse)
            patch.setattr(perf._Group.close, "__defaults__", (closed.append,))
            assert not reader.read(CPUS).groups
        assert closed == []
        assert len(reader.read(CPUS).groups) == 2


class TestSettings:
    def test_switching_off_takes_effect_at_the_next_sample_and_closes(self, kernel, watch):
        before = open_descriptors()
        watch.occasion.features = {"perf_events_enabled": False}
        section = watch.second()
        assert (section["available"], section["reason"]) == (False, "Switched off in the settings.")
        assert section["context_switches"] is None
        assert len(before - open_descriptors()) == 2 * len(KERNELS)

    def test_switching_on_again_starts_anew(self, kernel, watch):
        watch.occasion.features = {"perf_events_enabled": False}
        watch.before = watch.read()
        watch.occasion.features = {"perf_events_enabled": True}
        assert watch.second()["context_switches"] is None

    def test_another_selection_counts_from_the_next_sample_on(self, kernel, watch):
        watch.occasion.features = {"perf_events_cpus": "1"}
        kernel.pass_by(SECOND, c3=100)
        section = watch.second()
        assert (section["cpus"], section["context_switches"]) == ("1", None)
        watch.before = watch.read()
        kernel.pass_by(SECOND, c3=100)
        assert watch.second()["context_switches"] == 100

    def test_a_selection_of_absent_cpus_says_so(self, kernel, watch):
        watch.occasion.features = {"perf_events_cpus": "1,6-7"}
        section = watch.second()
        assert (section["available"], section["cpus"]) == (True, "1")
        assert section["reason"].startswith("Of the selected CPUs 6-7 are not online.")
        watch.occasion.features = {"perf_events_cpus": "9"}
        assert watch.second()["available"] is False

    def test_a_selection_that_is_none_says_so(self, kernel, watch):
        watch.occasion.features = {"perf_events_cpus": "some"}
        section = watch.second()
        assert "perf_events_cpus is no list of CPUs: 'some'" in section["reason"]
        assert section["available"] is False


class TestHotplug:
    def online(self, tmp_path, text):
        write(tmp_path / "sys", "devices/system/cpu/online", text + "\n")

    def test_a_cpu_that_goes_is_closed_and_the_others_go_on(self, kernel, watch, tmp_path):
        self.online(tmp_path, "0")
        kernel.pass_by(SECOND, c3=100)
        section = watch.second()
        assert (section["cpus"], section["context_switches"]) == ("0", 100)

    def test_a_cpu_that_comes_counts_from_the_next_sample_on(self, kernel, watch, tmp_path):
        self.online(tmp_path, "0-2")
        kernel.pass_by(SECOND, c3=100)
        section = watch.second()
        assert (section["cpus"], section["context_switches"]) == ("0-2", 200)
        watch.before = watch.read()
        kernel.pass_by(SECOND, c3=100)
        assert watch.second()["context_switches"] == 300


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,5", {0, 1, 2, 3, 5}), ("0", {0}), ("", set()), ("1,3", {1, 3}), ("0-1", {0, 1})],
)
def test_a_list_of_cpus_is_written_as_the_kernel_does(text, cpus):
    assert parse_cpus(text + "\n") == cpus
    assert format_cpus(cpus) == text
