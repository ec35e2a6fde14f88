import pytest

from metrics.kernel import sysfs
from metrics.tests.fake_host import make_host, write


def test_hardware_interfaces_are_those_with_a_device(tmp_path):
    host = make_host(tmp_path)
    assert sysfs.hardware_interfaces(host, frozenset({"lo", "eth0"})) == {"eth0"}


def test_whole_devices_leave_out_partitions_ram_loop_and_hidden_paths(tmp_path):
    host = make_host(tmp_path)
    for name in ("ram0", "loop0", "dm-0", "cciss!c0d0/device", "nvme0c0n1/device"):
        (tmp_path / "sys/block" / name).mkdir(parents=True)
    write(tmp_path / "sys", "block/nvme0c0n1/hidden", "1\n")
    names = frozenset({"sda", "sda1", "ram0", "loop0", "dm-0", "cciss/c0d0", "nvme0c0n1"})
    blocks = sysfs.block_devices(host, names)
    assert blocks.whole == {"sda", "dm-0", "cciss/c0d0"}
    assert blocks.hardware == {"sda", "cciss/c0d0"}


@pytest.mark.parametrize(
    ("text", "count"), [("0-1", 2), ("0", 1), ("0-3,8-11", 12), ("0-3,5", 6), ("", 0)]
)
def test_present_cpus_reach_to_the_highest_number(tmp_path, text, count):
    host = make_host(tmp_path)
    write(tmp_path / "sys", "devices/system/cpu/present", text + "\n")
    assert sysfs.present_cpus(host) == count


@pytest.mark.parametrize(
    ("flags", "state", "speed", "link"),
    [
        ("0x1003", "up", "1000", (True, 1000)),
        ("0x1003", "down", "-1", (False, None)),
        ("0x1002", "down", "65535", (False, None)),
        ("0x9", "unknown", "4294967295", (True, None)),
    ],
)
def test_a_link_is_up_when_it_is_switched_on_and_has_a_carrier(tmp_path, flags, state, speed, link):
    host = make_host(tmp_path)
    for name, text in {"flags": flags, "operstate": state, "speed": speed}.items():
        write(tmp_path / "sys", f"class/net/eth0/{name}", text + "\n")
    assert sysfs.links(host)["eth0"] == link


def test_frequency_comes_from_cpufreq_and_else_from_cpuinfo(tmp_path):
    host = make_host(tmp_path)
    assert sysfs.frequency_mhz(host) == 2500
    for cpu, khz in ((0, 800_000), (1, 1_200_000)):
        write(tmp_path / "sys", f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", f"{khz}\n")
    assert sysfs.frequency_mhz(host) == 1000


def test_temperature_is_that_of_the_hottest_package_not_of_a_core_or_the_disk(tmp_path):
    host = make_host(tmp_path)
    for chip, name, sensors in (
        (0, "nvme", [("Composite", 90_000)]),
        (1, "coretemp", [("Package id 0", 60_000), ("Core 0", 65_000)]),
        (2, "coretemp", [("Package id 1", 62_500)]),
    ):
        write(tmp_path / "sys", f"class/hwmon/hwmon{chip}/name", name + "\n")
        for number, (label, value) in enumerate(sensors, 1):
            stem = f"class/hwmon/hwmon{chip}/temp{number}"
            write(tmp_path / "sys", f"{stem}_label", label + "\n")
            write(tmp_path / "sys", f"{stem}_input", f"{value}\n")
    assert sysfs.temperature_celsius(host) == 62.5


def test_temperature_falls_back_to_the_thermal_zone_of_the_cpu(tmp_path):
    host = make_host(tmp_path)
    assert sysfs.temperature_celsius(host) is None
    for zone, kind, value in ((0, "battery", 99_000), (1, "cpu-thermal", 48_200)):
        write(tmp_path / "sys", f"class/thermal/thermal_zone{zone}/type", kind + "\n")
        write(tmp_path / "sys", f"class/thermal/thermal_zone{zone}/temp", f"{value}\n")
    assert sysfs.temperature_celsius(host) == 48.2


def test_names_are_looked_at_again_only_when_they_change_or_get_old():
    looks = []
    now = [0.0]
    remembered = sysfs.Remembered(
        lambda names: looks.append(names) or len(names), clock=lambda: now[0]
    )
    assert remembered({"a": 1}.keys()) == 1
    assert remembered({"a": 2}.keys()) == 1
    assert len(looks) == 1
    assert remembered({"a": 1, "b": 1}.keys()) == 2
    assert remembered({"a": 1, "c": 1}.keys()) == 2
    assert len(looks) == 3
    now[0] = 30.0
    remembered({"a": 1, "c": 1}.keys())
    assert len(looks) == 4
