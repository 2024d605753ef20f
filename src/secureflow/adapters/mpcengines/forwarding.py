"""Carries an engine's TCP connections through the channels of its job.

The agent holds the doors of the engine's network (`host`): what the engine connects to a peer's
address is accepted here and becomes a byte stream inside that peer's channel, and a stream that a
peer opens is connected to the engine's own port. A full channel makes the engine wait and a slow
engine the channel: no more than a block is held for each direction.

What comes from a peer passes a `Listener` (`speaking`) first, that hears whether it is the peer who
speaks; what is no word of its own goes no further, and the peer is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from secureflow.adapters.mpcengines.host import LOCAL
from secureflow.adapters.mpcengines.readiness import readable
from secureflow.adapters.mpcengines.speaking import GREEDY, ImpostorError, Listener
from secureflow.adapters.mpcengines.together import ended
from secureflow.application.ports.peers import PeerChannel, PeerConnection
from secureflow.kit.errors import SecureFlowError

BLOCK: Final = 1 << 18
SPARES: Final = 64
"""Sockets for connections that peers open, one after the other; each peer has its share."""
RETRY: Final = 0.02
"""Seconds between two tries to reach an engine that does not listen yet."""
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: to close is to reset, so that an engine does not take an end for a clean one."""


@dataclass
class Doors:
    """The sockets of an engine's network that this process holds.

    Args:
        port: where the engine listens itself.
        listening: peer → where the engine connects to it.
        spares: peer → sockets that are not connected yet.
    """

    port: int = 0
    listening: dict[str, socket.socket] = field(default_factory=dict)
    spares: dict[str, deque[socket.socket]] = field(default_factory=dict)

    def close(self) -> None:
        """Close those that are not in use."""
        for one in (*self.listening.values(), *chain.from_iterable(self.spares.values())):
            one.close()
        self.listening.clear()
        self.spares.clear()


Hearing = Callable[[str, bool], Listener]
"""Returns who listens to a stream of a peer, which that one opened or not."""


class Forwarder:
    """Forwards between the doors and the channels until it is cancelled.

    Args:
        doors: the caller closes them, when nothing runs any more.
        channels: peer → channel.
        patience: seconds until the engine listens.
        hearing: listens to peers.
        most: connections that the engine opens to each peer, one after the other; what it opens
            beyond is refused here, as the peer would name this party for it.
    """

    def __init__(
        self,
        doors: Doors,
        channels: Mapping[str, PeerChannel],
        patience: float,
        hearing: Hearing,
        most: int = SPARES,
    ) -> None:
        self._doors = doors
        self._channels = channels
        self._patience = patience
        self._hearing = hearing
        self._most = most
        self._pumps: set[asyncio.Task[None]] = set()
        self._faults: dict[str, asyncio.Future[None]] = {}
        self.moved = time.monotonic()
        """When the last bytes moved."""

    async def run(self, peer: str) -> None:
        """Forward for one peer, until its channel ends.

        Raises:
            SecureFlowError: `peer_broken`.
            ImpostorError: it is not the peer who speaks, or it opens more than it may.
        """
        fault = self._faults[peer] = asyncio.get_running_loop().create_future()
        out = asyncio.create_task(self._outgoing(peer))
        into = asyncio.create_task(self._incoming(peer))
        try:
            await asyncio.gather(out, into, fault)
        finally:
            await ended([out, into, fault])

    async def stop(self) -> None:
        """End every connection."""
        await ended(self._pumps)

    async def _outgoing(self, peer: str) -> None:
        listening, opened = self._doors.listening[peer], 0
        while True:
            await readable(listening)
            try:
                accepted, _ = listening.accept()
            except BlockingIOError:  # who came has gone again
                continue
            except OSError:  # no descriptor is left: those that are open go on
                await asyncio.sleep(RETRY)
                continue
            accepted.setblocking(False)
            if opened >= self._most:
                _reset(accepted)
                continue
            opened += 1
            try:
                listener = self._hearing(peer, False)
                connection = await self._channels[peer].open()
            except BaseException:  # cancellation too: nothing is left open
                _reset(accepted)
                raise
            self._keep(self._pump(accepted, connection, listener), accepted, connection, peer)

    async def _incoming(self, peer: str) -> None:
        spares = self._doors.spares[peer]
        while True:
            connection = await self._channels[peer].accept()
            try:
                listener = self._hearing(peer, True)
                if not spares:
                    raise ImpostorError(GREEDY)
            except ImpostorError:
                connection.abort()
                raise
            spare = spares.popleft()
            self._keep(self._reached(spare, connection, listener), spare, connection, peer)

    async def _reached(
        self, spare: socket.socket, connection: PeerConnection, listener: Listener
    ) -> None:
        """Carry what a peer opened, once the engine's own port is reached."""
        try:
            await self._connected(spare)
        except (OSError, TimeoutError):
            connection.abort()
            return
        await self._pump(spare, connection, listener)

    async def _connected(self, spare: socket.socket) -> None:
        """Reach the engine's own port, which it may not have opened yet."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._patience):
            while True:
                try:
                    await loop.sock_connect(spare, (LOCAL, self._doors.port))
                except (ConnectionRefusedError, ConnectionAbortedError):
                    await asyncio.sleep(RETRY)  # after the first, Linux tells the second
                else:
                    return

    def _keep(
        self,
        work: Coroutine[None, None, None],
        local: socket.socket,
        connection: PeerConnection,
        peer: str,
    ) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._pumps.add(task)

        def over(task: asyncio.Task[None]) -> None:
            self._pumps.discard(task)
            if task.cancelled():
                connection.abort()
            elif isinstance(error := task.exception(), ImpostorError):
                self._faulty(peer, error)
            _reset(local)  # closed already, but for a task that was cancelled

        task.add_done_callback(over)

    def _faulty(self, peer: str, error: ImpostorError) -> None:
        if not self._faults[peer].done():
            self._faults[peer].set_exception(error)

    async def _pump(
        self, local: socket.socket, connection: PeerConnection, listener: Listener
    ) -> None:
        """Carry both directions until both have ended, or one broke."""
        local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [
            asyncio.create_task(self._to_peer(local, connection, listener)),
            asyncio.create_task(self._to_engine(local, connection, listener)),
        ]
        try:
            await asyncio.gather(*ways)
        except BaseException as error:  # cancellation too: both ends learn that it broke
            await ended(ways)
            connection.abort()
            _reset(local)
            if not isinstance(error, OSError | SecureFlowError):
                raise
        else:
            local.close()

    async def _to_peer(
        self, local: socket.socket, connection: PeerConnection, listener: Listener
    ) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(local, BLOCK):
            self.moved = time.monotonic()
            listener.said(data)
            await connection.write(data)
        connection.close_write()

    async def _to_engine(
        self, local: socket.socket, connection: PeerConnection, listener: Listener
    ) -> None:
        loop = asyncio.get_running_loop()
        while data := await connection.read(BLOCK):
            self.moved = time.monotonic()
            if passed := listener.passed(data):
                await loop.sock_sendall(local, passed)
        with contextlib.suppress(OSError):  # the engine has closed it altogether
            local.shutdown(socket.SHUT_WR)


def _reset(local: socket.socket) -> None:
    with contextlib.suppress(OSError):
        local.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    local.close()
