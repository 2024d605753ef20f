"""Where a webhook may lead: to public addresses, and to networks that the operator allows.

A name is resolved once, every address that it has is checked, and one of exactly these is dialled:
a name that resolves to another address a moment later (DNS rebinding) leads nowhere else. Addresses
that carry an IPv4 address within (mapped, NAT64, 6to4, Teredo) are judged by both (RFC 6890, 6598,
4193, 6052, 3056, 4380).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name; raises `OSError`."""

MOST_ADDRESSES: Final = 64
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SPECIAL: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "2001:20::/28"))
)
"""Special-purpose networks that Python counts as global, in part."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def allowed_address(
    host: str, port: int, networks: Sequence[Network], resolver: Resolver
) -> str:
    """Resolve a name once and return the address to dial.

    Raises:
        SecureFlowError: `address_refused` if any of its addresses is not allowed;
            `delivery_failed` if it has none at present.
    """
    try:
        found = await resolver(host, port)
    except (OSError, UnicodeError):
        found = ()
    if not found:
        raise SecureFlowError(
            "delivery_failed",
            Text("{host} has no address at present.", host=shown(host)),
            "Check the name in the webhook's address.",
        )
    for text in found[:MOST_ADDRESSES]:
        if not _allowed(text, networks):
            raise SecureFlowError(
                "address_refused",
                Text("{host} leads to an address that is not public.", host=shown(host)),
                "Use a public address, or have the operator allow the network: "
                "notifications.webhooks.allow in server.yaml.",
            )
    return str(found[0])


def is_public(address: Address) -> bool:
    """Tell whether an address, and each IPv4 address within it, is public."""
    return all(_plainly_public(one) for one in (address, *_within(address)))


def _allowed(text: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    judged = (address, mapped) if mapped else (address,)
    if any(one.version == net.version and one in net for one in judged for net in networks):
        return True
    return is_public(address)


def _plainly_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not (address.version == 4 and address.is_reserved)
        and not getattr(address, "is_site_local", False)
        and not any(address.version == net.version and address in net for net in _SPECIAL)
    )


def _within(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that an address leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or int(address) >> 32 == 0:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
