"""Links of channels that do not pass the centre: one agent dials the other, where owners say so.

The agent whose owner declares the other's address dials it and sends `MAGIC` and the channel's tag;
the other end answers one byte once it waits for that very channel, and hangs up else. The tag is a
digest over both certificates: a stranger who finds the port does not know one. All that follows is
what the relay would carry. Addresses come from the owner's settings, never from the centre.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Final

from secureflow.adapters.link.peerlink import LAST_WORD, Dial, Dialling, PeerPipe, Place
from secureflow.engines.peers.framing import TAG
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

MAGIC: Final = b"SFPEER1\n"
_WELCOME: Final = b"+"
DIRECT_SECONDS: Final = 5.0
"""Until the relay is used instead."""
AGAIN_SECONDS: Final = 0.25
"""Between two attempts at a peer that does not wait for the channel yet."""
GREETING_SECONDS: Final = 5.0
"""For which a newcomer may be silent."""
MAX_GREETING: Final = 32
"""Newcomers that have not said yet which channel they mean."""
_READ: Final = 256 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: nothing is kept to be sent."""

_log = get_logger(__name__)


class _TcpPipe:
    """A TCP connection as a pipe."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._finished = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes | None:
        """Return the next bytes; None at the end."""
        try:
            return await self._reader.read(_READ) or None
        except OSError:
            return None

    async def write(self, data: bytes) -> None:
        """Send bytes; waits for room."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise _broke(error) from error

    async def done_writing(self) -> None:
        """Send nothing more."""
        self._finished = True
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    def close(self) -> None:
        """Close the connection; what was finished has `LAST_WORD` to leave, anything else none.

        A peer that takes nothing would else keep the socket for ever, and what waits in it.
        """
        if self.over.done():
            return
        self.over.set_result(None)
        if self._finished and self._writer.transport.get_write_buffer_size():
            self._writer.close()
            asyncio.get_running_loop().call_later(LAST_WORD, self._drop)
        else:
            self._drop()

    def _drop(self) -> None:
        """Let go of the socket now, and of what the kernel holds for it."""
        transport = self._writer.transport
        if transport.get_write_buffer_size():
            with contextlib.suppress(OSError):
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                )
        transport.abort()


class DirectListener:
    """Takes connections of peers for channels that wait for them.

    Args:
        bind: `host:port`, of the owner's settings.
    """

    def __init__(self, bind: str) -> None:
        self._bind = bind
        self._open: set[_TcpPipe] = set()
        self._waiting: dict[bytes, asyncio.Future[_TcpPipe]] = {}
        self._greeting = 0
        self._server: asyncio.Server | None = None
        self._faults = ThrottledLog(_log)
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            SecureFlowError: `address_unavailable`.
        """
        host, _, port = self._bind.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._serve, host.strip("[]"), int(port), limit=_READ
            )
        except OSError as error:
            raise SecureFlowError(
                "address_unavailable",
                Text(
                    "This agent cannot listen for peers on {bind}: {reason}.",
                    bind=self._bind,
                    reason=reason_of(error),
                ),
                "Choose another `peers.listen` in agent.yaml, or leave it out: the relay is used.",
            ) from error
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and end what is connected."""
        if self._server is not None:
            self._server.close()
        for pipe in tuple(self._open):
            pipe.close()

    @contextlib.asynccontextmanager
    async def coming(self, tag: bytes) -> AsyncIterator[asyncio.Future[_TcpPipe]]:
        """Wait for the connection of one channel."""
        waiting: asyncio.Future[_TcpPipe] = asyncio.get_running_loop().create_future()
        self._waiting[tag] = waiting
        try:
            yield waiting
        finally:
            if self._waiting.get(tag) is waiting:
                del self._waiting[tag]
            if waiting.done() and not waiting.cancelled():
                waiting.result().close()
            waiting.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = _TcpPipe(reader, writer)
        self._open.add(pipe)
        try:
            if await self._welcomed(pipe, reader, writer):
                await pipe.over
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self._faults.note("peer_not_greeted", reason=type(error).__name__)
        finally:
            pipe.close()
            self._open.discard(pipe)

    async def _welcomed(
        self, pipe: _TcpPipe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if self._greeting >= MAX_GREETING:
            return False
        self._greeting += 1
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                greeting = await reader.readexactly(len(MAGIC) + TAG)
        finally:
            self._greeting -= 1
        waiting = self._waiting.get(greeting[len(MAGIC) :])
        if not greeting.startswith(MAGIC) or waiting is None or waiting.done():
            return False
        writer.write(_WELCOME)
        waiting.set_result(pipe)
        return True


class DirectDialler:
    """Reaches peers directly where that is declared, and through the relay else.

    Args:
        relay: dials the centre.
        addresses: of peers, from the owner's settings: organisation to `host:port`.
        listener: takes their connections, if this agent listens.
    """

    def __init__(
        self, relay: Dialling, addresses: Mapping[str, str], listener: DirectListener | None
    ) -> None:
        self._relay = relay
        self._addresses = addresses
        self._listener = listener

    def to(self, place: Place, tag: bytes) -> Dial:
        """Return what dials for one channel."""
        relayed = self._relay.to(place, tag)
        if place.peer in self._addresses:
            address = self._addresses[place.peer]
            return lambda: _either(_dialled(address, tag), relayed)
        if (listener := self._listener) is not None:
            return lambda: _either(_awaited(listener, tag), relayed)
        return relayed


@contextlib.asynccontextmanager
async def _either(
    direct: contextlib.AbstractAsyncContextManager[PeerPipe | None], relayed: Dial
) -> AsyncIterator[PeerPipe]:
    """Open the direct link, or the relayed one if there is none in time."""
    async with direct as pipe:
        if pipe is not None:
            yield pipe
            return
    async with relayed() as pipe:
        yield pipe


@contextlib.asynccontextmanager
async def _dialled(address: str, tag: bytes) -> AsyncIterator[PeerPipe | None]:
    parsed, loop = parse_address(address), asyncio.get_running_loop()
    end = loop.time() + DIRECT_SECONDS
    pipe: _TcpPipe | None = None
    while pipe is None and loop.time() < end:
        try:
            async with asyncio.timeout_at(end):
                pipe = await _greeted(parsed.host, parsed.port, tag)
                if pipe is None:
                    await asyncio.sleep(AGAIN_SECONDS)
        except (OSError, TimeoutError) as error:
            _log.debug("peer_not_direct", address=address, reason=type(error).__name__)
            break
    try:
        yield pipe
    finally:
        if pipe is not None:
            pipe.close()


async def _greeted(host: str, port: int, tag: bytes) -> _TcpPipe | None:
    """Dial; None if the other end does not wait for this channel (yet)."""
    reader, writer = await asyncio.open_connection(host, port, limit=_READ)
    try:
        writer.write(MAGIC + tag)
        if await reader.read(1) == _WELCOME:
            return _TcpPipe(reader, writer)
    except BaseException:  # cancellation too: nothing stays open
        writer.transport.abort()
        raise
    writer.transport.abort()
    return None


@contextlib.asynccontextmanager
async def _awaited(listener: DirectListener, tag: bytes) -> AsyncIterator[PeerPipe | None]:
    async with listener.coming(tag) as coming:
        await asyncio.wait({coming}, timeout=DIRECT_SECONDS)
        yield coming.result() if coming.done() else None


def _broke(error: OSError) -> SecureFlowError:
    return SecureFlowError(
        "link_broken",
        Text("The direct link to the peer broke: {reason}.", reason=reason_of(error)),
        "The agent dials again by itself.",
    )
