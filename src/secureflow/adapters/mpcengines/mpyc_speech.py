"""How MPyC 0.11 says who speaks: two bytes at the beginning of a connection (`asyncoro.py`).

Each party connects to those with a higher number, once, and begins with its own number, two bytes,
little-endian, and its keys; the other one takes whoever says a number for that party, the later one
in place of the earlier. The party that connects knows by the door whom it has reached.
"""

from __future__ import annotations

from typing import Final

from secureflow.adapters.mpcengines.speaking import (
    BACKWARD,
    FOREIGN,
    ImpostorError,
    Listener,
    Stream,
    anybody,
)

STREAMS: Final = 1
"""Connections of a party to another in a run: it never connects again."""
_BYTES: Final = 2


def speech(stream: Stream) -> Listener:
    """Return who listens to a stream of MPyC's."""
    if not stream.theirs:
        return anybody(stream)
    if stream.peer > stream.own:
        raise ImpostorError(BACKWARD)
    return _FirstBytes(stream.peer.to_bytes(_BYTES, "little"))


class _FirstBytes:
    def __init__(self, number: bytes) -> None:
        self._number = number
        self._held = b""
        self._known = False

    def passed(self, data: bytes) -> bytes:
        if self._known:
            return data
        self._held += data
        if not self._number.startswith(self._held[:_BYTES]):
            raise ImpostorError(FOREIGN)
        if len(self._held) < _BYTES:
            return b""
        self._known = True
        return self._held

    def said(self, data: bytes) -> None:
        """See `Listener`: what this party says decides nothing."""
