import pytest

from metrics.collectors import FIELDS, devices, empty, field_of, lookup
from metrics.collectors.fields import Field, Kind, Level, Levels, Ratio, Unit, judge

DOCUMENT = {
    "cpu": {"usage_percent": 12.5, "per_core": [1.0, None, 3.0]},
    "network": {
        "bytes_recv": 7,
        "interfaces": {"eth0.100": {"bytes_recv_per_sec": 5.0}, "eth0": {"is_up": True}},
        "tcp": {"established": 4},
    },
    "disk": {"partitions": {"/mnt/my.disk": {"percent": 40.0}, "/": {"percent": 50.0}}},
    "sampler": {"status": {"cpu": "ok"}},
}


@pytest.mark.parametrize(
    ("series", "path", "value"),
    [
        ("cpu.usage_percent", "cpu.usage_percent", 12.5),
        ("cpu.per_core.2", "cpu.per_core.*", 3.0),
        ("cpu.per_core.1", "cpu.per_core.*", None),
        ("cpu.per_core.9", "cpu.per_core.*", None),
        ("network.tcp.established", "network.tcp.established", 4),
        (
            "network.interfaces.eth0.100.bytes_recv_per_sec",
            "network.interfaces.*.bytes_recv_per_sec",
            5.0,
        ),
        ("network.interfaces.eth9.bytes_recv", "network.interfaces.*.bytes_recv", None),
        ("disk.partitions./mnt/my.disk.percent", "disk.partitions.*.percent", 40.0),
        ("disk.partitions./.percent", "disk.partitions.*.percent", 50.0),
        ("disk.devices.sda.read_iops", "disk.devices.*.read_iops", None),
        ("sampler.status.cpu", "sampler.status.*", "ok"),
    ],
)
def test_a_series_is_found_by_declared_prefix_and_leaf(series, path, value):
    assert field_of(series).path == path
    assert lookup(DOCUMENT, series) == value


@pytest.mark.parametrize(
    "series",
    [
        "",
        "cpu",
        "cpu.nothing",
        "cpu.per_core",
        "cpu.per_core.",
        "cpu.per_core.3.",
        "cpu.per_core.x",
        "cpu.per_core.-1",
        "network.interfaces..bytes_recv",
        "network.interfaces.bytes_recv",
        "network.interfaces.eth0",
        "network.interfaces.eth0.nothing",
    ],
)
def test_what_nobody_declared_is_no_series(series):
    assert field_of(series) is None
    assert lookup(DOCUMENT, series) is None


def test_a_value_below_a_missing_section_is_none():
    assert lookup({}, "cpu.usage_percent") is None
    assert lookup({"cpu": None}, "cpu.per_core.0") is None


def test_devices_are_those_the_document_has():
    assert devices(DOCUMENT, field_of("disk.partitions./.percent")) == ["/mnt/my.disk", "/"]
    assert devices(DOCUMENT, field_of("cpu.per_core.0")) == ["0", "1", "2"]
    assert devices(DOCUMENT, field_of("network.interfaces.x.is_up")) == ["eth0"]
    assert devices(DOCUMENT, field_of("cpu.usage_percent")) == []
    assert devices({}, field_of("disk.partitions./.percent")) == []


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (None, Level.UNKNOWN),
        (float("nan"), Level.UNKNOWN),
        (79.9, Level.OK),
        (80, Level.WARNING),
        (94.9, Level.WARNING),
        (95, Level.CRITICAL),
    ],
)
def test_a_value_is_judged_by_the_levels_it_reaches(value, level):
    assert judge(Levels(80, 95), value) == level


def test_a_critical_level_below_the_warning_means_that_lower_is_worse():
    levels = Levels(warning=20, critical=5)
    assert [judge(levels, value) for value in (50, 20, 5)] == ["ok", "warning", "critical"]


def test_without_levels_every_value_is_fine_and_no_value_is_unknown():
    assert judge(None, 1e9) is Level.OK
    assert judge(None, None) is Level.UNKNOWN


@pytest.mark.parametrize(
    ("series", "warning", "critical"),
    [
        ("cpu.usage_percent", 80, 95),
        ("cpu.iowait_percent", 20, 40),
        ("cpu.steal_percent", 5, 20),
        ("cpu.temperature_celsius", 80, 95),
        ("memory.percent", 85, 95),
        ("memory.swap_percent", 50, 80),
        ("disk.partitions./.percent", 85, 95),
        ("disk.partitions./.inodes_percent", 85, 95),
        ("disk.devices.sda.util_percent", 80, 95),
    ],
)
def test_what_wants_a_look_has_levels(series, warning, critical):
    assert field_of(series).levels == Levels(warning, critical)


def test_a_ratio_must_say_of_what():
    with pytest.raises(ValueError, match="ratio"):
        Field("a.b", Kind.RATIO, Unit.NONE, "A.", "here")
    with pytest.raises(ValueError, match="ratio"):
        Field("a.b", Kind.GAUGE, Unit.NONE, "A.", "here", ratio=Ratio("a.c", "a.d"))


def test_an_empty_section_has_none_for_each_value_and_no_devices():
    section = empty(tuple(field for field in FIELDS if field.path.startswith("network.")))
    assert section["bytes_sent"] is None
    assert section["tcp"]["established"] is None
    assert section["interfaces"] == {}
    cpu = empty(tuple(field for field in FIELDS if field.path.startswith("cpu.")))
    assert cpu["per_core"] == []
