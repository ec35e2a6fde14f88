from metrics.tests import fake_host
from metrics.tests.fake_host import Watch, net_dev


def test_network_totals_are_those_of_hardware_interfaces(tmp_path):
    watch = Watch("network", tmp_path, **{"1_net_dev": net_dev(lo=(5, 5), eth0=(1000, 500))})
    first = watch.first()
    assert (first["bytes_recv"], first["bytes_sent"]) == (1000, 500)
    assert first["bytes_recv_per_sec"] is None
    after = {"1_net_dev": net_dev(lo=(9000, 9000), eth0=(3000, 600), veth1=(7000, 7000))}
    second = watch.second(**after)
    assert (second["bytes_recv_per_sec"], second["bytes_sent_per_sec"]) == (1000, 50)
    assert second["interfaces"]["lo"]["bytes_sent_per_sec"] == 4497.5
    assert second["interfaces"]["veth1"]["bytes_recv"] == 7000
    assert second["interfaces"]["veth1"]["bytes_recv_per_sec"] is None
    assert second["interfaces"]["eth0"]["speed_mbps"] == 1000


def test_without_hardware_the_totals_are_all_but_loopback(tmp_path):
    files = {"1_net_dev": net_dev(lo=(5, 5), veth0=(100, 10), veth1=(200, 20))}
    first = Watch("network", tmp_path, **files).first()
    assert (first["bytes_recv"], first["packets_sent"]) == (300, 3)


def test_an_interface_that_was_made_anew_counts_nothing_and_the_others_still_count(tmp_path):
    (tmp_path / "sys/class/net/eth1.7/device").mkdir(parents=True)
    before = {"1_net_dev": net_dev(eth0=(1000, 500), **{"eth1.7": (9000, 9000)})}
    watch = Watch("network", tmp_path, **before)
    after = {"1_net_dev": net_dev(eth0=(1200, 700), **{"eth1.7": (10, 9500)})}
    network = watch.second(**after)
    assert network["interfaces"]["eth1.7"]["bytes_sent_per_sec"] is None
    assert network["bytes_recv_per_sec"] == 100
    assert network["bytes_recv"] == 1210


def test_an_interface_that_vanished_is_not_in_the_document(tmp_path):
    watch = Watch("network", tmp_path)
    network = watch.second(**{"1_net_dev": net_dev(lo=(1000, 1000))})
    assert list(network["interfaces"]) == ["lo"]
    assert network["bytes_recv_per_sec"] == 0


def test_tcp_counts_come_from_process_1_of_a_redirected_proc(tmp_path):
    watch = Watch("network", tmp_path)
    text = fake_host.SNMP.replace("5 12 300", "7 12 310")
    network = watch.second(**{"1_net_snmp": text})
    assert network["tcp"] == {
        "established": 12,
        "time_wait": 3,
        "retransmits_per_sec": 5,
        "resets_per_sec": 1,
        "listen_drops_per_sec": 0,
    }
    assert network["sockets_used"] == 290
