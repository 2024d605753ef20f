"""HTTP/1.1 connections of the page (`agent.connections`).

A head has `HEAD_SECONDS`, a whole exchange `EXCHANGE_SECONDS` (the stream of an open page
`STREAM_SECONDS`), and one address at most `PER_ADDRESS` connections of the `MOST` that there are.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Final

from secureflow.agent.connections import BoundedProtocol
from secureflow.agent.console.addresses import EVENTS

HEAD_SECONDS: Final = 15.0
EXCHANGE_SECONDS: Final = 120.0
"""More than the agent has for any answer that a page asks for."""
STREAM_SECONDS: Final = 3600.0
"""After which an open page connects anew; nothing is lost (`api.events`)."""
MOST: Final = 256
PER_ADDRESS: Final = 32

_open: Final[Counter[str]] = Counter()


class PageProtocol(BoundedProtocol):
    """One connection."""

    open_now: ClassVar[Counter[str]] = _open

    def most(self) -> tuple[int, int]:
        """See `BoundedProtocol.most`."""
        return MOST, PER_ADDRESS

    def head_seconds(self) -> float:
        """See `BoundedProtocol.head_seconds`."""
        return HEAD_SECONDS

    def exchange_seconds(self) -> float:
        """Return how long an answer may take; an open page's stream has more."""
        streams = self.scope is not None and self.scope["path"] == EVENTS
        return STREAM_SECONDS if streams else EXCHANGE_SECONDS
