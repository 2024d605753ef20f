"""HTTP/1.1 connections of the page, which nobody holds open, or takes all of.

Uvicorn waits for a request's head, and for a reader, as long as it takes. Here a head has
`HEAD_SECONDS`, a whole exchange `EXCHANGE_SECONDS` (the stream of an open page `STREAM_SECONDS`),
and one address at most `PER_ADDRESS` connections of the `MOST` that there are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from secureflow.agent.console.addresses import EVENTS
from secureflow.kit.addresses import is_loopback, source_of

HEAD_SECONDS: Final = 15.0
EXCHANGE_SECONDS: Final = 120.0
"""More than the agent has for any answer that a page asks for."""
STREAM_SECONDS: Final = 3600.0
"""After which an open page connects anew; nothing is lost (`api.events`)."""
MOST: Final = 256
PER_ADDRESS: Final = 32

_open: Final[Counter[str]] = Counter()


class PageProtocol(H11Protocol):
    """One connection."""

    _source = ""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, if there is room for this address."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername") or ("",)
        self._source = source_of(str(peer[0]))
        _open[self._source] += 1
        most = MOST if is_loopback(str(peer[0])) else PER_ADDRESS
        if _open[self._source] > most or _open.total() > MOST:
            transport.abort()
            return
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        super().connection_lost(exc)
        self._stop()
        _open[self._source] -= 1
        if _open[self._source] <= 0:
            del _open[self._source]

    def data_received(self, data: bytes) -> None:
        """Process received bytes; once the head is there the exchange has its own time."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            streams = self.scope is not None and self.scope["path"] == EVENTS
            self._wait(STREAM_SECONDS if streams else EXCHANGE_SECONDS)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait(HEAD_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = cast("Any", self.loop).call_later(seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
