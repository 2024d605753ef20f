"""How many bytes the open TCP connections of some local ports have carried (Linux, sock_diag).

The loopback interface's own counter would count everybody's traffic on this machine.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator

_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ESTABLISHED = 1 << 1
_INFO = 2
_MESSAGE = 72
"""Bytes of `struct inet_diag_msg`, before its attributes."""
_ACKED_RECEIVED = struct.Struct("@QQ")
_AT = 120
"""Where `struct tcp_info` has the bytes that were acknowledged and received."""


def carried(ports: Collection[int]) -> int:
    """Return the bytes sent and received by established connections of these local ports."""
    families = (socket.AF_INET, socket.AF_INET6)  # gRPC listens with the latter for both
    return sum(size for of in families for port, size in _connections(of) if port in ports)


def _connections(family: int) -> Iterator[tuple[int, int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:  # NETLINK_SOCK_DIAG
        wanted = struct.pack(
            "=BBBxI48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), _ESTABLISHED
        )
        head = struct.pack("=IHHII", 16 + len(wanted), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
        netlink.send(head + wanted)
        while True:
            data = netlink.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind != _SOCK_DIAG_BY_FAMILY:  # the end, or an error
                    return
                yield _read(data[16:length])
                data = data[(length + 3) & ~3 :]


def _read(message: bytes) -> tuple[int, int]:
    """Return a connection's local port and what it has carried."""
    (port,) = struct.unpack_from(">H", message, 4)
    at = _MESSAGE
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == _INFO and length >= 4 + _AT + _ACKED_RECEIVED.size:
            return port, sum(_ACKED_RECEIVED.unpack_from(message, at + 4 + _AT))
        at += max(4, (length + 3) & ~3)
    return port, 0
