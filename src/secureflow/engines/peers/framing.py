"""Frames: the outermost form of what two agents send each other, whoever carries it.

A frame is `kind (1 byte) ‖ length of the payload (4) ‖ number (8) ‖ payload`, big-endian.

| kind    | number                                     | payload                            |
|---------|--------------------------------------------|------------------------------------|
| `HELLO` | how many frames of data this end has       | the channel's tag, 32 bytes        |
| `DATA`  | which frame of data this is, from 0        | bytes of the TLS stream            |
| `ACK`   | how many frames of data this end has       | none                               |

An `ACK` is the heartbeat as well. A length is checked before anything is allocated for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from secureflow.engines.peers.faults import ChannelFaultError

MAX_PAYLOAD: Final = 1 << 20
"""Bytes of one frame's payload."""
TAG: Final = 32
"""Bytes of a channel's tag."""
_HEADER: Final = struct.Struct(">BIQ")
MAX_FRAME: Final = _HEADER.size + MAX_PAYLOAD


class FrameKind(IntEnum):
    """The kinds of frames."""

    HELLO = 1
    DATA = 2
    ACK = 3


_LONGEST: Final = {FrameKind.HELLO: TAG, FrameKind.DATA: MAX_PAYLOAD, FrameKind.ACK: 0}


@dataclass(frozen=True)
class Frame:
    """One frame."""

    kind: FrameKind
    number: int
    payload: bytes | memoryview


def write_frame(kind: FrameKind, number: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    return b"".join((_HEADER.pack(kind, len(payload), number), payload))


class FrameReader:
    """Takes frames out of bytes that come in pieces of any size."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete now; keeps less than one frame.

        Raises:
            ChannelFaultError: an unknown kind, or a length that it does not allow.
        """
        if not self._held:
            frames, used = _split(data)
            self._held += memoryview(data)[used:]
            return frames
        self._held += data
        frames, used = _split(bytes(self._held)) if self._whole() else ([], 0)
        del self._held[:used]
        return frames

    def _whole(self) -> bool:
        """Tell whether a frame is complete; checks the header as soon as it is there."""
        if len(self._held) < _HEADER.size:
            return False
        _, length, _ = _header(self._held, 0)
        return len(self._held) >= _HEADER.size + length


def _split(data: bytes) -> tuple[list[Frame], int]:
    """Return whole frames, whose payloads are views, and how many bytes they are."""
    view, at, frames = memoryview(data), 0, []
    while len(view) - at >= _HEADER.size:
        kind, length, number = _header(view, at)
        end = at + _HEADER.size + length
        if end > len(view):
            break
        frames.append(Frame(kind, number, view[at + _HEADER.size : end]))
        at = end
    return frames, at


def _header(data: bytearray | memoryview, at: int) -> tuple[FrameKind, int, int]:
    number_of_kind, length, number = _HEADER.unpack_from(data, at)
    try:
        kind = FrameKind(number_of_kind)
    except ValueError as error:
        raise ChannelFaultError("what arrived is not a frame") from error
    if length > _LONGEST[kind]:
        raise ChannelFaultError("a frame is longer than is allowed")
    return kind, length, number
