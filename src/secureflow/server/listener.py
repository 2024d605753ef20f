"""REST's listener: accepts connections, assigns slots, and limits the cost of each one.

A silent connection costs only a descriptor. TLS starts with the first byte, at a bounded rate:
addresses take turns, and of one address the newest connection comes first, which is most likely
still alive. So a client that opens thousands of connections delays only itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from asyncio import sslproto
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from secureflow.application.throttle import Throttle
from secureflow.kit.addresses import Network, source_of, within
from secureflow.kit.clock import CHECK_INTERVAL, stalled
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.kit.oserrors import reason_of
from secureflow.server.connections import Connections, ConnectionSlot, Phase
from secureflow.server.settings import ConnectionSettings

AT_ONCE: Final = 64
"""Connections accepted before other tasks get a turn on the event loop."""
REST_SECONDS: Final = 0.1
"""Pause when the system has no descriptor left."""
CLOSING_SECONDS: Final = 2.0
"""How long a closed connection waits for the other end's close."""
READ_AT_ONCE: Final = 32 * 1024
"""Bytes of each TLS connection's read buffer: asyncio's 256 KiB would count per idle stranger."""

Tell = Callable[[ConnectionSlot], asyncio.Protocol]
"""Makes the protocol of a connection after its TLS handshake."""


class _Newcomer:
    """A connection before its TLS handshake is done."""

    def __init__(self, taken: socket.socket, source: str) -> None:
        self.taken = taken
        self.source = source
        self.place: ConnectionSlot | None = None
        self.shaking: asyncio.Task[None] | None = None


class Listener:
    """Serves a protocol from a listening socket.

    Args:
        listening: a listening, non-blocking TCP socket; closed by `stop`.
        context: the server's TLS.
        protocol: makes the protocol of each connection.
        connections: assigns slots.
        limits: the rates and deadlines.
        proxies: networks whose connections are not counted by address.
        faults: called for faults that strangers cause.
    """

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        protocol: Tell,
        connections: Connections,
        limits: ConnectionSettings,
        proxies: Sequence[Network],
        faults: ThrottledLog,
    ) -> None:
        self._listening = listening
        self._context = context
        self._protocol = protocol
        self._connections = connections
        self._limits = limits
        self._proxies = proxies
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._rate = Throttle(
            limits.handshakes_per_second,
            max(1, int(limits.handshakes_per_second / 10)),
            time.monotonic,
        )
        self._silent: set[_Newcomer] = set()
        self._waiting: OrderedDict[str, OrderedDict[_Newcomer, None]] = OrderedDict()
        self._shaking: set[asyncio.Task[None]] = set()
        self._next: asyncio.Handle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start accepting connections."""
        sslproto.SSLProtocol.max_size = READ_AT_ONCE
        self._loop.add_reader(self._listening, self._take)
        self._sweeping = asyncio.create_task(self._sweep())

    def stop(self) -> None:
        """Stop listening and close connections before their handshake; protocols close the rest."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._next is not None:
            self._next.cancel()
        waiting = [one for stack in self._waiting.values() for one in stack]
        for newcomer in [*self._silent, *waiting]:
            self._drop(newcomer)
        for task in self._shaking:
            task.cancel()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                taken, (address, *_rest) = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            taken.setblocking(False)
            # asyncio sets it only for its own sockets; without it the second piece of an answer
            # waits.
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._admit(taken, address)

    def _admit(self, taken: socket.socket, address: str) -> None:
        newcomer = _Newcomer(taken, source_of(address))
        drop = partial(self._drop, newcomer)
        proxy = within(address, self._proxies)
        newcomer.place = self._connections.admit(newcomer.source, drop, proxy=proxy)
        if newcomer.place is None:
            taken.close()
            return
        self._silent.add(newcomer)
        self._loop.add_reader(taken, self._spoke, newcomer)

    def _pause(self, error: OSError) -> None:
        """Evict connections, and listen again a little later; meanwhile the backlog fills."""
        self._faults.note("connection_not_taken", reason=reason_of(error))
        self._connections.shed()
        self._loop.remove_reader(self._listening)
        self._loop.call_later(REST_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._take)

    def _spoke(self, newcomer: _Newcomer) -> None:
        """Queue a connection that has sent something for its handshake."""
        self._loop.remove_reader(newcomer.taken)
        self._silent.discard(newcomer)
        if newcomer.place is not None:
            self._connections.turn(newcomer.place, Phase.HANDSHAKE, restart=True)
        self._waiting.setdefault(newcomer.source, OrderedDict())[newcomer] = None
        if self._next is None:
            self._serve_next()

    def _serve_next(self) -> None:
        """Start as many handshakes as the rate allows."""
        self._next = None
        while self._waiting:
            wait = self._rate.take("")
            if wait:
                self._next = self._loop.call_later(wait, self._serve_next)
                return
            source, stack = self._waiting.popitem(last=False)
            newcomer, _ = stack.popitem()
            if stack:
                self._waiting[source] = stack
            newcomer.shaking = self._loop.create_task(self._shake(newcomer))
            self._shaking.add(newcomer.shaking)
            newcomer.shaking.add_done_callback(self._shaking.discard)

    async def _shake(self, newcomer: _Newcomer) -> None:
        place = newcomer.place
        assert place is not None  # noqa: S101  only connections with a slot wait here
        self._connections.turn(place, Phase.HANDSHAKE, restart=True)
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(place),
                newcomer.taken,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=CLOSING_SECONDS,
            )
        except OSError as error:  # TLS failures and deadlines are OSErrors too
            self._faults.note("handshake_failed", reason=type(error).__name__)
            self._connections.leave(place)
        except asyncio.CancelledError:
            self._connections.leave(place)
            raise

    def _drop(self, newcomer: _Newcomer) -> None:
        """Close a connection before its TLS handshake is done."""
        if newcomer.shaking is not None:
            newcomer.shaking.cancel()
            return
        self._silent.discard(newcomer)
        stack: dict[_Newcomer, Any] = self._waiting.get(newcomer.source, OrderedDict())
        stack.pop(newcomer, None)
        if not stack:
            self._waiting.pop(newcomer.source, None)
        self._loop.remove_reader(newcomer.taken)
        newcomer.taken.close()
        if newcomer.place is not None:
            self._connections.leave(newcomer.place)

    async def _sweep(self) -> None:
        while True:
            began = self._loop.time()
            await asyncio.sleep(CHECK_INTERVAL)
            took = self._loop.time() - began
            if stalled(CHECK_INTERVAL, took):
                self._connections.excuse(took)
            self._connections.expire()
