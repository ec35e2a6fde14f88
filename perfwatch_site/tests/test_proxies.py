"""Whom PerfWatch believes about the client's address and scheme."""

from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from perfwatch_site.proxies import FORWARDED, TrustedProxyMiddleware, client_address

PROXY = "10.0.0.1"


@pytest.fixture(autouse=True)
def trusted(settings):
    networks = ("10.0.0.0/8", "127.0.0.1", "fd00::/8")
    settings.PERFWATCH_TRUSTED_PROXIES = tuple(ip_network(network) for network in networks)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def seen(peer=PROXY, **headers):
    """The request as the views see it."""
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    TrustedProxyMiddleware(lambda request: HttpResponse())(request)
    return request


def address(forwarded, peer=PROXY):
    return client_address(seen(peer, **{"X-Forwarded-For": forwarded}))


def test_a_trusted_proxy_is_believed_about_the_client():
    assert address("192.0.2.7") == "192.0.2.7"


def test_a_stranger_is_not_believed_about_the_client():
    assert address("192.0.2.7", peer="198.51.100.1") == "198.51.100.1"


def test_nobody_is_believed_where_no_proxy_is_trusted(settings):
    settings.PERFWATCH_TRUSTED_PROXIES = ()
    assert address("192.0.2.7", peer="127.0.0.1") == "127.0.0.1"


def test_without_the_header_the_proxy_itself_is_the_client():
    assert client_address(seen()) == PROXY


def test_a_chain_of_trusted_proxies_is_followed_to_the_client():
    assert address("192.0.2.7, 10.0.0.3, fd00::2") == "192.0.2.7"


def test_what_the_client_wrote_left_of_its_own_address_is_ignored():
    assert address("127.0.0.1, 203.0.113.9, 192.0.2.7, 10.0.0.3") == "192.0.2.7"


def test_a_client_inside_the_trusted_network_keeps_its_address():
    assert address("10.0.0.9") == "10.0.0.9"


@pytest.mark.parametrize(
    "garbage", ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "'; drop", ":"]
)
def test_garbage_leaves_the_nearest_proxy_as_the_client(garbage):
    assert address(garbage) == PROXY


def test_garbage_ends_the_chain():
    assert address("192.0.2.7, unknown, 10.0.0.3") == "10.0.0.3"


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ("1.2.3.4:567", "1.2.3.4"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:567", "2001:db8::7"),
        ("2001:DB8:0:0::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("  192.0.2.7  ", "192.0.2.7"),
    ],
)
def test_addresses_of_all_spellings_are_understood(written, client):
    assert address(written) == client


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "fd00::1"])
def test_a_proxy_is_recognised_by_its_ipv6_address(peer):
    assert address("192.0.2.7", peer=peer) == "192.0.2.7"


def test_a_peer_without_address_is_a_stranger():
    assert address("192.0.2.7", peer="") == ""


def test_a_trusted_proxy_is_believed_about_the_scheme():
    assert seen(**{"X-Forwarded-Proto": "https"}).is_secure()
    assert not seen(**{"X-Forwarded-Proto": "http"}).is_secure()


def test_a_stranger_is_not_believed_about_the_scheme():
    assert not seen("198.51.100.1", **{"X-Forwarded-Proto": "https"}).is_secure()


def test_nothing_that_a_stranger_forwards_is_left_in_the_request():
    headers = {name.removeprefix("HTTP_").replace("_", "-"): "evil.example" for name in FORWARDED}
    request = seen("198.51.100.1", **headers)
    assert not set(FORWARDED) & set(request.META)


def test_the_host_is_the_one_that_was_asked_for():
    request = seen(**{"X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "81"})
    assert request.get_host() == "testserver"
