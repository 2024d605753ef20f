from __future__ import annotations

from ipaddress import ip_network

import pytest

from secureflow.kit.addresses import UNKNOWN, caller_address, is_loopback, source_of

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/64")]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_limits_count_an_ipv6_subscriber_as_one(address: str, source: str) -> None:
    assert source_of(address) == source


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        # Nobody but a listed proxy is believed.
        ("192.0.2.7", ["203.0.113.1"], "192.0.2.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        # What a caller wrote itself stands to the left of what the proxy saw.
        ("10.0.0.1", ["198.51.100.9, 203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["198.51.100.9", "203.0.113.1, 10.2.3.4"], "203.0.113.1"),
        ("10.0.0.1", ["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
        ("10.0.0.1", ["198.51.100.9, nonsense, 10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("fd00::1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("10.0.0.1", ["203.0.113.1:4711"], "203.0.113.1"),
        ("::ffff:10.0.0.1", ["203.0.113.1"], "203.0.113.1"),
    ],
)
def test_the_rightmost_hop_that_is_no_proxy_calls(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert caller_address(peer, forwarded, PROXIES) == found


def test_loopback() -> None:
    assert is_loopback("127.0.0.66")
    assert is_loopback("::1")
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("192.0.2.7")
    assert not is_loopback("localhost")
