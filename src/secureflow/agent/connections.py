"""HTTP/1.1 connections that nobody holds open, or takes all of.

Uvicorn waits for a request's head, and for a reader, as long as it takes. Here each has its time,
and one source address at most so many of the connections that there are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from secureflow.kit.addresses import is_loopback, source_of


class BoundedProtocol(H11Protocol):
    """One connection; a subclass says the limits, and counts in `open_now` of its own."""

    open_now: ClassVar[Counter[str]]
    _source = ""
    _timer: asyncio.TimerHandle | None = None

    def most(self) -> tuple[int, int]:
        """Return how many connections there are, and how many of them one address has."""
        raise NotImplementedError

    def head_seconds(self) -> float:
        """Return how long a request's head may take."""
        raise NotImplementedError

    def exchange_seconds(self) -> float:
        """Return how long the exchange that just began may take."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, if there is room for this address."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername") or ("",)
        self._source = source_of(str(peer[0]))
        self.open_now[self._source] += 1
        everybody, each = self.most()
        most = everybody if is_loopback(str(peer[0])) else each
        if self.open_now[self._source] > most or self.open_now.total() > everybody:
            transport.abort()
            return
        self._wait(self.head_seconds())

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        super().connection_lost(exc)
        self._stop()
        self.open_now[self._source] -= 1
        if self.open_now[self._source] <= 0:
            del self.open_now[self._source]

    def data_received(self, data: bytes) -> None:
        """Process received bytes; once the head is there the exchange has its own time."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._wait(self.exchange_seconds())

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait(self.head_seconds())

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = cast("Any", self.loop).call_later(seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
