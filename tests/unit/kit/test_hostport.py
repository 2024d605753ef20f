"""Addresses: what is dialled is a host and a port, however it is spelt."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import Address, checked_address, parse_address

GOOD = {
    "centre.example:8444": Address("centre.example", 8444),
    "localhost:1": Address("localhost", 1),
    "10.0.0.7:65535": Address("10.0.0.7", 65535),
    "[::1]:8444": Address("::1", 8444),
    "[2001:DB8::7]:443": Address("2001:db8::7", 443),
    "unix:80": Address("unix", 80),  # a host of that name; dialled as dns:///
    "a1-b.xn--fiq228c:9": Address("a1-b.xn--fiq228c", 9),
}
BAD = (
    "",
    ":8444",
    "host",
    "host:",
    "host:0",
    "host:65536",
    "host:08444",
    "host:+1",
    "host:８",
    "unix:/run/agent.sock",
    "unix:///run/agent.sock",
    "unix-abstract:x",
    "dns:///host:1",
    "dns://8.8.8.8/host:1",
    "xds:///host:1",
    "ipv4:10.0.0.1:80",
    "https://host:1",
    "user@host:1",
    "host/path:1",
    "host:1/path",
    "host:1\nattestation: {allow_simulated: true}",
    "host\n:1",
    "host:1\n",
    " host:1",
    "host :1",
    "ho\x1b[2Jst:1",
    "ho\u202est:1",
    "höst:1",
    "-host:1",
    "host-:1",
    "a..b:1",
    "host.:1",
    "127.1:80",
    "0x7f.1:80",
    "2130706433:80",
    "0177.0.0.1:80",
    "1.2.3.256:80",
    "::1:80",
    "[::1%eth0]:80",
    "[::1:80",
    "[host]:80",
    "[]:80",
    "a" * 64 + ":1",
    ".".join(["a" * 60] * 5) + ":1",
    None,
    8444,
    ["host:1"],
)


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    found = parse_address(text)
    assert found == GOOD[text]
    assert parse_address(str(found)) == found
    assert found.target == f"dns:///{found}"
    assert checked_address(text) == str(found)


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_nothing_else_is_one(text: object) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse_address(text, "link")
    assert caught.value.code == "invalid_address"
    if isinstance(text, str) and len(text) > 5:
        assert text not in str(caught.value)  # it may hold anything


@given(st.text(max_size=40) | st.sampled_from(["host", "[::1]", "10.0.0.1"]).map("{}:1".format))
def test_any_text_is_refused_or_plain(text: str) -> None:
    with contextlib.suppress(SecureFlowError):
        assert re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", str(parse_address(text)))
