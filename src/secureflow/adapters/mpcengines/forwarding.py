"""Carries an engine's TCP connections through the channels of its job.

The agent holds the doors of the engine's network (`host`): what the engine connects to a peer's
address is accepted here and becomes a byte stream inside that peer's channel, and a stream that a
peer opens is connected to the engine's own port. Bytes are not looked at. A full channel makes the
engine wait and a slow engine the channel: no more than a block is held for each direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from secureflow.adapters.mpcengines.host import LOCAL
from secureflow.adapters.mpcengines.readiness import readable
from secureflow.adapters.mpcengines.together import ended
from secureflow.application.ports.peers import PeerChannel, PeerConnection
from secureflow.kit.errors import SecureFlowError

BLOCK: Final = 1 << 18
CONNECTIONS: Final = 64
"""Open ones of each peer and direction; a further one is refused."""
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


class Forwarder:
    """Forwards between the doors and the channels until it is cancelled.

    Args:
        doors: the caller closes them, when nothing runs any more.
        channels: peer → channel.
        patience: seconds until the engine listens.
    """

    def __init__(self, doors: Doors, channels: Mapping[str, PeerChannel], patience: float) -> None:
        self._doors = doors
        self._channels = channels
        self._patience = patience
        self._pumps: set[asyncio.Task[None]] = set()
        self.moved = time.monotonic()
        """When the last bytes moved."""

    async def run(self, peer: str) -> None:
        """Forward for one peer, until its channel ends.

        Raises:
            SecureFlowError: `peer_broken`.
        """
        out = asyncio.create_task(self._outgoing(peer))
        into = asyncio.create_task(self._incoming(peer))
        try:
            await asyncio.gather(out, into)
        finally:
            await ended([out, into])

    async def stop(self) -> None:
        """End every connection."""
        await ended(self._pumps)

    async def _outgoing(self, peer: str) -> None:
        listening, open_now = self._doors.listening[peer], _Count()
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
            if not open_now.room:
                _reset(accepted)
                continue
            try:
                connection = await self._channels[peer].open()
            except BaseException:  # cancellation too: nothing is left open
                _reset(accepted)
                raise
            self._keep(self._pump(accepted, connection), accepted, connection, open_now)

    async def _incoming(self, peer: str) -> None:
        open_now, spares = _Count(), self._doors.spares[peer]
        while True:
            connection = await self._channels[peer].accept()
            if not open_now.room or not spares:
                connection.abort()
                continue
            spare = spares.popleft()
            self._keep(self._reached(spare, connection), spare, connection, open_now)

    async def _reached(self, spare: socket.socket, connection: PeerConnection) -> None:
        """Carry what a peer opened, once the engine's own port is reached."""
        try:
            await self._connected(spare)
        except (OSError, TimeoutError):
            connection.abort()
            return
        await self._pump(spare, connection)

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
        count: _Count,
    ) -> None:
        count.now += 1
        task = asyncio.get_running_loop().create_task(work)
        self._pumps.add(task)

        def over(task: asyncio.Task[None]) -> None:
            count.now -= 1
            self._pumps.discard(task)
            if task.cancelled():
                connection.abort()
            _reset(local)  # closed already, but for a task that was cancelled

        task.add_done_callback(over)

    async def _pump(self, local: socket.socket, connection: PeerConnection) -> None:
        """Carry both directions until both have ended, or one broke."""
        local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = [
            asyncio.create_task(self._to_peer(local, connection)),
            asyncio.create_task(self._to_engine(local, connection)),
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

    async def _to_peer(self, local: socket.socket, connection: PeerConnection) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(local, BLOCK):
            self.moved = time.monotonic()
            await connection.write(data)
        connection.close_write()

    async def _to_engine(self, local: socket.socket, connection: PeerConnection) -> None:
        loop = asyncio.get_running_loop()
        while data := await connection.read(BLOCK):
            self.moved = time.monotonic()
            await loop.sock_sendall(local, data)
        with contextlib.suppress(OSError):  # the engine has closed it altogether
            local.shutdown(socket.SHUT_WR)


class _Count:
    """How many connections are open."""

    def __init__(self) -> None:
        self.now = 0

    @property
    def room(self) -> bool:
        return self.now < CONNECTIONS


def _reset(local: socket.socket) -> None:
    with contextlib.suppress(OSError):
        local.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    local.close()
