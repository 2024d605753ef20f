"""Channels between two agents of a job, as engines and verbs use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

MAX_MESSAGE: Final = 64 << 20
"""Bytes of one message of a channel."""
MAX_CONTENT: Final = 1 << 38
"""Bytes that one channel carries: AES-GCM under one key is good for 2^24.5 records of 16 KiB
(RFC 8446, section 5.5), and Python's TLS cannot change the key."""


@dataclass(frozen=True)
class ChannelLimits:
    """What the channels of a job may use.

    Args:
        bytes: sent and received, with the headers of pieces, over all channels and attempts of the
            job; one channel carries at most `MAX_CONTENT`.
        seconds: that one channel may be open.
        cut_seconds: that one may be cut off; after that it is broken.
    """

    bytes: int = 1 << 38
    seconds: float = 86_400.0
    cut_seconds: float = 30.0


class PeerConnection(Protocol):
    """A byte stream in both directions inside a channel, like a TCP connection."""

    async def read(self, n: int) -> bytes:
        """Return 1 to `n` bytes, or b"" at the end.

        Raises:
            ConnectionResetError: the connection was aborted.
            SecureFlowError: `peer_broken`, `peer_limit`.
        """

    async def write(self, data: bytes) -> None:
        """Send bytes; waits for room at the other end.

        Raises: as `read`.
        """

    def close_write(self) -> None:
        """Send nothing more; the other end reads to the end."""

    def abort(self) -> None:
        """Drop the connection: the other end's reads and writes fail."""


class PeerChannel(Protocol):
    """A channel to one peer: encrypted and authenticated from agent to agent."""

    @property
    def peer(self) -> str:
        """The organisation at the other end."""

    @property
    def sent(self) -> int:
        """Bytes of content sent so far."""

    @property
    def received(self) -> int:
        """Bytes of content received so far."""

    async def send(self, message: bytes) -> None:
        """Send one message of at most `MAX_MESSAGE` bytes; waits for room at the other end.

        Raises:
            SecureFlowError: `too_large`, `peer_closed`, `peer_broken`, `peer_limit`.
        """

    async def receive(self) -> bytes | None:
        """Return the next message; None once the peer has closed cleanly.

        Raises:
            SecureFlowError: `peer_broken`, `peer_limit`.
        """

    async def open(self) -> PeerConnection:
        """Open a further byte stream.

        Raises: as `send`.
        """

    async def accept(self) -> PeerConnection:
        """Return the next byte stream that the peer opens.

        Raises: as `send`.
        """

    async def close(self) -> None:
        """Close cleanly: neither end reads or writes any more, and both know it.

        What was sent before is read at the other end; what comes after that is dropped. Returns
        once the peer's agent knows, whatever its program does.

        Raises:
            SecureFlowError: `peer_broken` if the peer did not learn it.
        """
