"""Uvicorn's HTTP/1.1 protocol with a connection slot: it reports what each connection waits for."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from secureflow.server.connections import Connections, ConnectionSlot, Phase
from secureflow.server.rest.callers import BELONGS

CRUMB: Final = 512
MOST_CRUMBS: Final = 256
"""Maximum number of chunks of fewer than `CRUMB` bytes in one request body."""
PER_CRUMB: Final = 16 * 1024
"""Bytes of a body that allow one more: a sender's writes may end in a small piece each."""


class _Wire(h11.Connection):
    """HTTP/1.1 that limits tiny chunks: each costs the same, and may be one byte long."""

    _crumbs = 0
    _received = 0

    def next_event(self) -> Any:
        """Return the next event, as h11 does."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._crumbs = self._received = 0
        elif isinstance(event, h11.Data):
            self._received += len(event.data)
            self._crumbs += len(event.data) < CRUMB
            if self._crumbs > MOST_CRUMBS + self._received // PER_CRUMB:
                raise h11.RemoteProtocolError("the body comes in too many small pieces")
        return event


class RestProtocol(H11Protocol):
    """One connection.

    Args:
        config: uvicorn's.
        state: uvicorn's.
        connections: is told what the connection waits for.
        place: the connection's slot.
    """

    def __init__(
        self, config: Config, state: ServerState, connections: Connections, place: ConnectionSlot
    ) -> None:
        super().__init__(config, state, {BELONGS: partial(connections.belongs, place)})
        self._connections = connections
        self._place = place
        self.conn = _Wire(h11.SERVER)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a request."""
        super().connection_made(transport)
        self._place.drop = transport.abort
        if self._place.gone:  # it was evicted just as its handshake ended
            transport.abort()
        self._turn(restart=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the slot."""
        super().connection_lost(exc)
        self._connections.leave(self._place)

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        super().data_received(data)
        self._turn()
        self._connections.progressed(self._place, len(data))

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._turn(restart=True)

    def pause_writing(self) -> None:
        """Wait for the caller to read."""
        super().pause_writing()
        self._turn()

    def resume_writing(self) -> None:
        """Continue."""
        super().resume_writing()
        self._turn()

    def send_400_response(self, msg: str) -> None:
        """Answer that this is not HTTP, or hang up if an answer has been started."""
        if self._phase() is Phase.HEAD and self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def _turn(self, *, restart: bool = False) -> None:
        self._connections.turn(self._place, self._phase(), restart=restart)

    def _phase(self) -> Phase:
        if self.flow.write_paused:
            return Phase.READING
        cycle = cast("Any", self.cycle)  # None before the first request
        if cycle is None or cycle.response_complete:
            return Phase.HEAD
        return Phase.BODY if cycle.more_body else Phase.ANSWER
