import pytest

from metrics.charts import CHARTS, DISKS, FILESYSTEMS
from metrics.drawing import Choice, choose, is_there, lines_of, maximum_of, most_drawn
from metrics.series import natural
from metrics.tests.builders import document


def chart(key):
    return next(chart for chart in CHARTS if chart.key == key)


def disks(**utilisations):
    data = document()
    data["disk"]["devices"] = {name: {"util_percent": v} for name, v in utilisations.items()}
    return data


def test_the_most_active_come_first_and_then_names_as_people_sort_them():
    choice = choose(DISKS, [disks(sd10=0.0, sd2=0.0, sda=1.0, sdb=90.0)])
    assert choice.known == ("sdb", "sda", "sd2", "sd10")


def test_activity_is_that_of_all_documents():
    choice = choose(DISKS, [disks(sda=50.0, sdb=0.0), disks(sda=0.0, sdb=20.0), disks(sda=None)])
    assert choice.drawn == ("sda", "sdb")


def test_at_most_eight_lines_are_drawn_until_somebody_asks():
    many = disks(**{f"sd{n}": n for n in range(20)})
    assert most_drawn(DISKS) == 4
    choices = {"disk": choose(DISKS, [many])}
    assert all(len(lines_of(one, choices)) <= 8 for one in CHARTS if one.devices is DISKS)
    asked = {"disk": choose(DISKS, [many], [f"sd{n}" for n in range(20)])}
    assert len(lines_of(chart("disk-util"), asked)) == 20


def test_a_device_keeps_its_colour_whatever_is_drawn_beside_it():
    every = choose(DISKS, [disks(sda=1, sdb=2, sdc=3)])
    alone = choose(DISKS, [disks(sda=1, sdb=2, sdc=3)], ["sdc"])
    colours = {line.series: line.colour for line in lines_of(chart("disk-util"), {"disk": every})}
    (line,) = lines_of(chart("disk-util"), {"disk": alone})
    assert line.colour == colours[line.series] == "green"


def test_after_eight_devices_the_colours_come_again_dashed():
    names = [f"sd{n}" for n in range(9)]
    lines = lines_of(chart("disk-util"), {"disk": Choice(DISKS, tuple(names), tuple(names))})
    assert (lines[0].colour, lines[0].dashed) == ("blue", False)
    assert (lines[8].colour, lines[8].dashed) == ("blue", True)


def test_no_two_lines_look_alike_as_long_as_there_are_looks():
    names = tuple(f"nvme{n}n1" for n in range(40))
    for drawn in (("nvme5n1", "nvme21n1", "nvme37n1"), names[24:]):
        lines = lines_of(chart("disk-util"), {"disk": Choice(DISKS, names, drawn)})
        assert len({(line.colour, line.dashed) for line in lines}) == len(drawn)


def test_a_device_that_is_gone_can_still_be_asked_for():
    choice = choose(FILESYSTEMS, [document()], ["/gone"])
    assert choice.offered == ["/gone"]


@pytest.mark.parametrize(("value", "there"), [(None, False), (0, False), (1024, True)])
def test_a_chart_is_there_when_a_document_has_what_it_needs(value, there):
    assert is_there(chart("swap"), [document(memory__swap_total_bytes=value)]) is there


def test_an_axis_ends_at_the_capacity_of_the_host():
    assert maximum_of(chart("memory"), document(memory__total_bytes=1024)) == 1024
    assert maximum_of(chart("memory"), document()) is None


def test_numbers_in_names_sort_as_numbers():
    assert sorted(["nvme10n1", "nvme2n1", "sda", "7"], key=natural) == [
        "7",
        "nvme2n1",
        "nvme10n1",
        "sda",
    ]
