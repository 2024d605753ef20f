"""Network addresses from elsewhere: `host:port` and nothing else, before one is dialled or kept.

A host is a DNS name (RFC 1123), an IPv4 address in four decimal parts, or an IPv6 address in
brackets without a zone; the port is 1 to 65535. There is no scheme: a gRPC target such as
`unix:/run/x` or `xds:///x` would reach something that no owner meant, and `unix:80` reads like a
host and a port until it is dialled.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_ADDRESS: Final = 262
"""A host name of 253 characters, brackets, a colon and a port."""
_HOST_MAX: Final = 253
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


@dataclass(frozen=True)
class Address:
    """Where to dial; `host` is without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """The target for gRPC, with an explicit scheme."""
        return f"dns:///{self}"


def parse_address(text: object, what: str = "The address") -> Address:
    """Parse `host:port` strictly.

    Args:
        text: from a file, the centre or another member.
        what: what the address is, for the message; the text itself is not quoted.

    Raises:
        SecureFlowError: `invalid_address`.
    """
    if not isinstance(text, str) or len(text) > MAX_ADDRESS:
        raise _invalid(
            what,
            Text(
                "it must be a string of at most {max_address} characters", max_address=MAX_ADDRESS
            ),
        )
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 0xFFFF:
        raise _invalid(what, "it must end in a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        return Address(_ipv6(host[1:-1], what), int(port))
    if not _is_name(host):
        raise _invalid(what, "its host must be a DNS name, an IPv4 address or an [IPv6 address]")
    return Address(host, int(port))


def checked_address(text: str) -> str:
    """Return the text of an address, for settings.

    Raises:
        ValueError: it is not an address.
    """
    try:
        return str(parse_address(text, "the address"))
    except SecureFlowError as error:
        raise ValueError(error.message) from error


HostPort = Annotated[
    str, Field(min_length=1, max_length=MAX_ADDRESS), AfterValidator(checked_address)
]
"""`host:port` in settings and messages."""


def _ipv6(text: str, what: str) -> str:
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise _invalid(what, "an IPv6 address must be in the brackets") from error
    if found.scope_id is not None:
        raise _invalid(what, "it must not name a zone of one machine")
    return str(found)


def _is_name(host: str) -> bool:
    labels = host.split(".")
    if len(host) > _HOST_MAX or not all(map(_LABEL.fullmatch, labels)):
        return False
    if not _NUMBER.fullmatch(labels[-1]):
        return True
    # A host that ends in a number is an address, in one notation only (not 127.1).
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


def _invalid(what: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_address",
        Text("{what} is not of the form host:port: {reason}.", what=what, reason=reason),
        "Write a DNS name, an IPv4 address or an [IPv6 address], a colon and a port.",
    )
