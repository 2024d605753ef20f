"""Channels between two parties of a job, end to end encrypted and authenticated by the charter."""

from __future__ import annotations

from typing import Final, Protocol

MESSAGE_BYTES: Final = 64 << 20
"""Of one message, at most."""


class PeerConnection(Protocol):
    """One byte stream inside a channel, both ways."""

    async def read(self, size: int) -> bytes:
        """Return at most so many bytes, at least one, or b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits for room."""

    async def close_write(self) -> None:
        """Say that no more bytes come; the other direction goes on."""

    def abort(self) -> None:
        """Close it at once; the other end learns that it broke."""


class PeerChannel(Protocol):
    """The way to one peer, for one attempt of one job."""

    @property
    def peer(self) -> str:
        """Who is at the other end."""

    @property
    def sent(self) -> int:
        """Bytes of content so far."""

    @property
    def received(self) -> int:
        """Bytes of content so far."""

    async def send(self, message: bytes) -> None:
        """Send a message of at most `MESSAGE_BYTES`; waits for room.

        Raises:
            SecureFlowError: `peer_broken`.
        """

    async def receive(self) -> bytes | None:
        """Return the next message; None where the peer closed the channel cleanly.

        Raises:
            SecureFlowError: `peer_broken`.
        """

    async def open(self) -> PeerConnection:
        """Return a new byte stream inside the channel.

        Raises:
            SecureFlowError: `peer_broken`.
        """

    async def accept(self) -> PeerConnection:
        """Return the next byte stream that the peer opened.

        Raises:
            SecureFlowError: `peer_broken`.
        """

    async def close(self) -> None:
        """Close it cleanly; both ends know."""
