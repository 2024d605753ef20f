"""Where a webhook may lead: public addresses, and what the operator allows."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from secureflow.adapters.notifying.addresses import allowed_address, is_public, resolve
from secureflow.kit.errors import SecureFlowError

PUBLIC = ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "1.1.1.1")
PRIVATE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.8", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::1", "::", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1",
    "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:a00:1::", "2001:db8::1",
)  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_no_other_address_is(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


async def ask(found: Sequence[str], *networks: str) -> str:
    async def resolver(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("hook.example", 443)
        return found

    allow = [ipaddress.ip_network(one) for one in networks]
    return await allowed_address("hook.example", 443, allow, resolver)


@pytest.mark.parametrize("text", PRIVATE)
async def test_a_private_address_is_refused_even_beside_a_public_one(text: str) -> None:
    with pytest.raises(SecureFlowError) as refused:
        await ask(["8.8.8.8", text])
    assert refused.value.code == "address_refused"
    assert text not in str(refused.value)  # who asks learns nothing of the network


async def test_what_the_operator_allows_is_dialled(tmp_path: object) -> None:
    assert await ask(["10.1.2.3"], "10.1.0.0/16") == "10.1.2.3"
    assert await ask(["::ffff:10.1.2.3"], "10.1.0.0/16") == "::ffff:10.1.2.3"
    assert await ask(["fd00::7"], "fd00::/8") == "fd00::7"
    for other in ("10.2.0.1", "fe80::1%eth0", "nonsense"):
        with pytest.raises(SecureFlowError):
            await ask([other], "10.1.0.0/16")


async def test_a_name_without_an_address_is_a_failure_that_may_pass() -> None:
    with pytest.raises(SecureFlowError) as failed:
        await ask([])
    assert failed.value.code == "delivery_failed"


async def test_numbers_that_stand_for_loopback_are_seen_as_what_they_are() -> None:
    for host in ("127.1", "2130706433", "0x7f000001", "localhost"):
        with pytest.raises(SecureFlowError) as refused:
            await allowed_address(host, 443, [], resolve)
        assert refused.value.code in ("address_refused", "delivery_failed")
