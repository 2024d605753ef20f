"""Network addresses of callers: what counts as one caller, and which proxies are believed."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

UNKNOWN: Final = "unknown"
HOST_BITS: Final = 64
"""IPv6 addresses are counted by /64, which one subscriber has as a whole (RFC 6177)."""


SITE_BITS: Final = 80
"""Bits of an IPv6 address below its /48."""


def source_of(address: str) -> str:
    """Return what limits count an address as: itself, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if parsed is None:
        return UNKNOWN
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(ipaddress.IPv6Network((int(parsed) >> HOST_BITS << HOST_BITS, HOST_BITS)))


def block_of(source: str) -> str:
    """Return the network that somebody may have many addresses in: the IPv4 address, or the /48.

    A site gets a /48 as easily as a /64 (RFC 6177).

    Args:
        source: as `source_of` returns it.
    """
    parsed = _parsed(source.partition("/")[0])
    if not isinstance(parsed, ipaddress.IPv6Address):
        return source
    return str(ipaddress.IPv6Network((int(parsed) >> SITE_BITS << SITE_BITS, 128 - SITE_BITS)))


def network_of(source: str) -> str:
    """Return the coarse network of a source: the /24 of an IPv4 address, or the /48."""
    parsed = _parsed(source.partition("/")[0])
    if not isinstance(parsed, ipaddress.IPv4Address):
        return block_of(source)
    return str(ipaddress.IPv4Network((int(parsed) >> 8 << 8, 24)))


def is_loopback(address: str) -> bool:
    """Tell whether the address is a loopback address."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def within(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether the address is in one of the networks."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in one for one in networks)


def caller_address(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Return the address that a request comes from.

    Args:
        peer: the other end of the connection.
        forwarded: the `X-Forwarded-For` headers, in order.
        proxies: the reverse proxies that are believed.

    Returns:
        The peer, unless it is one of the proxies: then the right-most hop that is not a proxy.
        Anything further left was written by the caller and is not read.
    """
    if not within(peer, proxies):
        return peer
    hops = [hop for line in forwarded for hop in line.split(",")]
    nearest = peer
    for hop in reversed(hops):
        parsed = _parsed(_without_port(hop.strip()))
        if parsed is None:
            return nearest  # the last one that a proxy vouches for
        nearest = str(parsed)
        if not within(nearest, proxies):
            return nearest
    return nearest


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parsed(address: str) -> _Address | None:
    try:
        parsed = ipaddress.ip_address(address[:64].partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
