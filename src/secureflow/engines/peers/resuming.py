"""A stream of payloads that goes on over a new link where the old one was cut.

Each end numbers its frames of data, and keeps those that the other end has not acknowledged, up to
a window; a full window stops the sender. On every new link both ends first say how many frames they
have (`HELLO`), and each then sends what the other lacks. On one link frames come in order and once:
anything else is a fault of whoever carries them, and ends the channel.

The tag in the `HELLO` names the channel, so that two ends of different channels that were connected
with each other notice it before they try TLS.
"""

from __future__ import annotations

from typing import Final

from secureflow.engines.peers.faults import ChannelFaultError
from secureflow.engines.peers.framing import (
    TAG,
    Frame,
    FrameKind,
    FrameReader,
    write_frame,
)
from secureflow.kit.canonical import sha256

WINDOW: Final = 8 << 20
"""Bytes that one end keeps for a new link: what it may have under way."""
ACK_BYTES: Final = 1 << 20
ACK_FRAMES: Final = 64
"""An end acknowledges after so many bytes or frames, and with every heartbeat."""


def channel_tag(one: bytes, other: bytes) -> bytes:
    """Return the tag of the channel between two certificates (DER), the same at both ends."""
    return sha256(b"secureflow/v1 channel" + b"".join(sorted((sha256(one), sha256(other)))))


class ResumableStream:
    """One end's account of what it sent and received.

    Args:
        tag: the channel's.
        window: bytes that may be unacknowledged.
    """

    def __init__(self, tag: bytes, window: int = WINDOW) -> None:
        assert len(tag) == TAG  # noqa: S101  a digest
        self._tag = tag
        self._window = window
        self._kept: dict[int, bytes] = {}
        self._kept_bytes = 0
        self._first = 0  # number of the first frame that is kept
        self._next = 0  # number of the next new frame
        self._to_write = 0  # number of the next frame to write on this link
        self._written = 0  # number of the next frame that no link has carried
        self._received = 0
        self._acknowledged = 0
        self._unacknowledged_bytes = 0
        self._reader = FrameReader()
        self.met = False
        """Whether the other end's `HELLO` came over the current link."""
        self.ever_met = False
        """Whether it ever came."""

    @property
    def room(self) -> bool:
        """Whether another payload may be put in."""
        return self._kept_bytes < self._window

    @property
    def delivered(self) -> bool:
        """Whether the other end says that it has everything."""
        return not self._kept

    def put(self, payload: bytes) -> None:
        """Add a payload to be sent; check `room` first."""
        frame = write_frame(FrameKind.DATA, self._next, payload)
        self._kept[self._next] = frame
        self._kept_bytes += len(frame)
        self._next += 1

    def begin(self) -> bytes:
        """Begin with a new link; return the first frame for it."""
        self._reader = FrameReader()
        self.met = False
        self._noted()
        return write_frame(FrameKind.HELLO, self._received, self._tag)

    def take(self, data: bytes) -> list[bytes | memoryview]:
        """Return the payloads in what the link brought, in order.

        Raises:
            ChannelFaultError: it breaks the rules: not a frame, of another channel, out of order,
                or about frames that were never sent.
        """
        return [frame.payload for frame in self._reader.feed(data) if self._is_data(frame)]

    def outgoing(self, *, eager: bool = False) -> list[bytes]:
        """Return the frames to write on this link now; nothing before the other end's `HELLO`.

        `eager` acknowledges whatever came: at the end, when the other end waits for that.
        """
        if not self.met:
            return []
        frames = [self._kept[number] for number in range(self._to_write, self._next)]
        self._to_write = self._written = self._next
        due = self._received - self._acknowledged
        most = 1 if eager else ACK_FRAMES
        if due >= most or self._unacknowledged_bytes >= ACK_BYTES:
            frames.append(self.heartbeat())
        return frames

    def heartbeat(self) -> bytes:
        """Return an acknowledgement of all that was received, to show that this end is there."""
        self._noted()
        return write_frame(FrameKind.ACK, self._received)

    def _noted(self) -> None:
        self._acknowledged, self._unacknowledged_bytes = self._received, 0

    def _is_data(self, frame: Frame) -> bool:
        if frame.kind is FrameKind.HELLO:
            self._meet(frame)
            return False
        if not self.met:
            raise ChannelFaultError("the other end did not begin with its hello")
        if frame.kind is FrameKind.ACK:
            self._drop(frame.number, self._to_write)
            return False
        if frame.number != self._received:
            raise ChannelFaultError("a frame was lost, repeated or moved on its way")
        self._received += 1
        self._unacknowledged_bytes += len(frame.payload)
        return True

    def _meet(self, frame: Frame) -> None:
        if self.met:
            raise ChannelFaultError("the other end began twice on one link")
        if frame.payload != self._tag:
            raise ChannelFaultError("it was connected with the end of another channel")
        self._drop(frame.number, self._written)
        self._to_write = frame.number
        self.met = self.ever_met = True

    def _drop(self, number: int, most: int) -> None:
        """Forget the frames below a number, which is at most `most`: the other end has them."""
        if not self._first <= number <= most:
            raise ChannelFaultError("frames were acknowledged that are not under way")
        for one in range(self._first, number):
            self._kept_bytes -= len(self._kept.pop(one))
        self._first = number
