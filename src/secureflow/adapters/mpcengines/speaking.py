"""Who is at the other end of a stream, where an engine believes what it is told there.

A stream comes over the channel of one peer, so the agent knows whose it is. All streams end at the
one port of the engine, which takes from their first bytes, or from each message, which party
speaks. Where three or more compute, a party that says another one's number would be taken for that
one: it would get what is meant for it, and speak in its name. So the forwarder passes nothing of a
stream on before a `Listener` has seen that it says the number of the peer that it comes from.

Each engine has a way of its own to say it: its adapter gives the `Speech` (`plan.Plan`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

FOREIGN: Final = "it spoke as another party than it is"
UNKNOWN: Final = "it sent what no engine of its kind sends"
GREEDY: Final = "it opened more connections than it may"
BACKWARD: Final = "it opened a connection that this engine opens itself"


class ImpostorError(Exception):
    """A peer speaks as somebody else, or as no engine does.

    Args:
        reason: half a sentence for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Listener(Protocol):
    """Listens to what a peer says on one stream; keeps back what it does not know yet."""

    def passed(self, data: bytes) -> bytes:
        """Take what came, and return what the engine gets now: in order, and unchanged.

        Raises:
            ImpostorError: the engine gets nothing more of the stream.
        """

    def said(self, data: bytes) -> None:
        """Hear what the own engine says on the stream, before the peer does."""


@dataclass(frozen=True)
class Stream:
    """A stream.

    Args:
        own: this party's number.
        peer: the number of the party whose channel carries it.
        theirs: whether the peer opened it.
    """

    own: int
    peer: int
    theirs: bool


Speech = Callable[[Stream], Listener]
"""Returns who listens to a stream; raises `ImpostorError` for one that should not be."""


class _Anybody:
    def passed(self, data: bytes) -> bytes:
        return data

    def said(self, data: bytes) -> None:
        pass


def anybody(stream: Stream) -> Listener:
    """Pass everything: of an engine of two parties, where nobody else can be meant."""
    del stream
    return _Anybody()
