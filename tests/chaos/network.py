"""A network in memory that speaks gRPC to the product's own links, and breaks as networks do.

Connections are TCP's: in order, never doubled. A pair of machines has weather: a *cut* resets what
is open and refuses what is dialled; a *hole* keeps what is sent, one way or both, until it is over
(what TCP sends again arrives late); a *delay* makes every message slow. Certificates are looked at
by both ends' clocks when a connection is made, as TLS does.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import grpc
import grpc.aio

from secureflow.adapters.link import party, server, uplink
from secureflow.adapters.link.credentials import Credentials
from tests.chaos.virtual import LIFE, Life, VirtualLoop
from tests.chaos.weather import Weather, broken
from tests.chaos.wires import END, Call, Metadata, Pipe, Status, Wire

DIALLING = 20.0
"""Seconds after which a connection that does not come about counts as refused."""


class Network:
    """Who listens where, the open connections, and the weather between machines."""

    def __init__(self, loop: VirtualLoop, seed: object) -> None:
        self.loop = loop
        self.dice = random.Random(f"{seed}/network")
        self.listeners: dict[str, MemoryServer] = {}
        self.wires: set[Wire] = set()
        self._weather: dict[tuple[str, str], Weather] = {}
        self._ports = 20_000

    def weather(self, one: str, other: str) -> Weather:
        """Return the weather between two machines; `up` is from the first to dial."""
        return self._weather.setdefault((one, other), Weather())

    def cut(self, one: str, other: str, seconds: float) -> None:
        """Reset every connection of a pair, and refuse new ones for a time."""
        self.weather(one, other).cut = self.loop.now + seconds
        for wire in [wire for wire in self.wires if wire.pair == (one, other)]:
            wire.snap("Connection reset by peer")

    def hole(self, one: str, other: str, seconds: float, ways: tuple[str, ...]) -> None:
        """Let nothing through, one way or both."""
        for way in ways:
            self.weather(one, other).hole[way] = self.loop.now + seconds

    def slow(self, one: str, other: str, seconds: float, delay: float) -> None:
        """Make every message late."""
        weather = self.weather(one, other)
        weather.slow, weather.delay = self.loop.now + seconds, delay

    def mute(self, one: str, other: str, seconds: float) -> None:
        """Lose a party's answers and signs of progress, and nothing else."""
        self.weather(one, other).mute = self.loop.now + seconds

    def sever(self, life: Life) -> None:
        """A process died: its machine closes what it had open."""
        for address, listener in list(self.listeners.items()):
            if listener.life is life:
                del self.listeners[address]
        for wire in [w for w in self.wires if life in (w.client, w.listener.life)]:
            wire.snap("Socket closed", by=life)

    def arrival(self, pair: tuple[str, str], way: str) -> float:
        """Return when a message arrives that is sent now."""
        weather, now = self._weather.get(pair), self.loop.now
        at = now + 0.0002 + 0.004 * self.dice.random()
        if weather is not None:
            if now < weather.slow:
                at += weather.delay * (0.5 + self.dice.random())
            if now < weather.hole[way]:
                at = weather.hole[way] + self.dice.random() * min(weather.hole[way] - now, 10.0)
        return at

    def port(self) -> int:
        """Return a port that nobody has."""
        self._ports += 1
        return self._ports

    # What the product's modules call instead of gRPC.

    def new_server(self, bounds: Any) -> MemoryServer:
        """Stand in for `tls.new_server`."""
        del bounds
        return MemoryServer(self)

    def listen(self, listener: Any, bind: str, current: Callable[[], Credentials]) -> int:
        """Stand in for `tls.listen`."""
        host, _, port = bind.rpartition(":")
        chosen = int(port) or self.port()
        listener.address, listener.current = f"{host}:{chosen}", current
        return chosen

    def open_channel(
        self, address: str, credentials: Credentials, name: str, *, keepalive: float | None = None
    ) -> MemoryChannel:
        """Stand in for `tls.open_channel`."""
        del name
        return MemoryChannel(self, address, credentials, keepalive)

    @contextmanager
    def instead(self) -> Iterator[None]:
        """Have links use this network."""
        names = {
            server: ("new_server", "listen"),
            party: ("open_channel",),
            uplink: ("new_server", "listen", "open_channel"),
        }
        patches = [
            mock.patch.object(module, name, getattr(self, name))
            for module, several in names.items()
            for name in several
        ]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


class MemoryServer:
    """Stands in for `grpc.aio.Server`."""

    def __init__(self, network: Network) -> None:
        life = LIFE.get()
        assert life is not None
        self.life: Life = life
        self.name = life.name
        self.address = ""
        self.current: Callable[[], Credentials]
        self._network = network
        self._handlers: list[Any] = []
        self._context = contextvars.copy_context()

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._handlers += handlers

    async def start(self) -> None:
        self._network.listeners[self.address] = self

    async def stop(self, grace: float | None) -> None:
        del grace
        if self._network.listeners.get(self.address) is self:
            del self._network.listeners[self.address]
        for wire in [wire for wire in self._network.wires if wire.listener is self]:
            wire.snap("Socket closed")

    def serve(self, call: Call) -> asyncio.Task[None]:
        """Begin to answer a call, as the process that listens."""
        asked = SimpleNamespace(method=call.path, invocation_metadata=())
        handler = next(h for one in self._handlers if (h := one.service(asked)) is not None)
        loop = self._network.loop
        task: asyncio.Task[None] = self._context.copy().run(
            loop.create_task, self._answer(call, handler)
        )
        return task

    async def _answer(self, call: Call, handler: Any) -> None:
        context = _ServerContext(call)
        status = Status(grpc.StatusCode.OK, "")
        try:
            given = _messages(call.up) if handler.request_streaming else await call.up.get()
            behaviour = next(
                found
                for name in ("stream_stream", "unary_stream", "stream_unary", "unary_unary")
                if (found := getattr(handler, name)) is not None
            )
            answer = await behaviour(given, context)
            if not handler.response_streaming:
                call.down.put(answer)
        except grpc.aio.AbortError:
            status = context.status or status
        except Exception as error:  # noqa: BLE001  gRPC's own edge
            status = Status(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")
        call.down.put(status)
        call.wire.calls.discard(call) if call.wire.broken else None


class _ServerContext:
    """Stands in for `grpc.aio.ServicerContext`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.status: Status | None = None

    def auth_context(self) -> dict[str, Any]:
        return {"x509_pem_cert": [self._call.wire.pem], "ssl_tls_version": [b"TLSv1.3"]}

    async def read(self) -> Any:
        item = await self._call.up.get()
        return grpc.aio.EOF if item is END else item

    async def write(self, message: bytes) -> None:
        self._call.down.put(message)

    async def send_initial_metadata(self, lines: Any) -> None:
        self._call.down.put(Metadata(tuple(lines)))

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.status = Status(code, details)
        raise grpc.aio.AbortError


async def _messages(pipe: Pipe) -> AsyncIterator[bytes]:
    while (item := await pipe.get()) is not END:
        yield item


class MemoryChannel:
    """Stands in for `grpc.aio.Channel`: one connection, dialled when it is needed."""

    def __init__(
        self, network: Network, address: str, credentials: Credentials, keepalive: float | None
    ) -> None:
        self._network = network
        self._keepalive = keepalive
        self._address = address.removeprefix("ipv4:")
        self._credentials = credentials
        self._wire: Wire | None = None
        self._dialling = asyncio.Lock()
        self._calls: set[Any] = set()
        self._closed = False

    async def close(self, grace: float | None = None) -> None:
        del grace
        self._closed = True
        if self._wire is not None:
            wire, self._wire = self._wire, None
            for call in list(wire.calls):
                call.down.fail(asyncio.CancelledError())
            wire.snap("Channel closed", by=LIFE.get())

    async def call(self, path: str) -> Call:
        """Begin a call; dial if there is no connection."""
        if self._closed:
            raise grpc.aio.UsageError("Channel is closed.")
        async with self._dialling:
            if self._wire is None or self._wire.broken:
                self._wire = await self._dial()
        return Call(self._wire, path)

    async def _dial(self) -> Wire:
        network, loop, life = self._network, self._network.loop, LIFE.get()
        deadline = loop.now + DIALLING
        while True:
            await asyncio.sleep(0.001 + 0.004 * network.dice.random())
            listener = network.listeners.get(self._address)
            if listener is None:
                raise broken("Connection refused")
            weather = network.weather(life.name if life else "", listener.name)
            if loop.now < weather.cut:
                raise broken("Connection refused")
            if loop.now >= deadline:
                raise broken("Connection timed out")
            if loop.now >= max(weather.hole.values()) and not listener.life.stopped:
                break
            await asyncio.sleep(0.5)
        start, end = listener.current().span
        own = self._credentials.span
        theirs = network.loop.now + listener.life.shift
        mine = network.loop.now + (life.shift if life else 0)
        offset = network.loop.wall() - network.loop.now - (life.shift if life else 0)
        if not start <= mine + offset <= end or not own[0] <= theirs + offset <= own[1]:
            raise broken("Ssl handshake failed: certificate verify failed")
        leaf = self._credentials.certificate.split(b"-----END CERTIFICATE-----")[0]
        wire = Wire(network, life, listener, leaf + b"-----END CERTIFICATE-----\n")
        if self._keepalive:
            wire.watch(self._keepalive)
        return wire

    def stream_stream(self, path: str, *_: Any) -> Callable[[], _StreamCall]:
        return lambda: _StreamCall(self, path)

    def unary_unary(self, path: str, *_: Any) -> Any:
        async def ask(request: bytes) -> bytes:
            async with _calling(self, path) as call:
                call.up.put(request)
                return await _one(call)

        return ask

    def stream_unary(self, path: str, *_: Any) -> Callable[[AsyncIterator[bytes]], _SendingCall]:
        return lambda requests: _SendingCall(self, path, requests)

    def unary_stream(self, path: str, *_: Any) -> Any:
        async def ask(request: bytes) -> AsyncIterator[bytes]:
            async with _calling(self, path) as call:
                call.up.put(request)
                while (item := _checked(await call.down.get())) is not END:
                    yield item

        return ask


class _calling:
    """Begin a call, and hang it up however the block ends."""

    def __init__(self, channel: MemoryChannel, path: str) -> None:
        self._channel, self._path = channel, path

    async def __aenter__(self) -> Call:
        self._call = await self._channel.call(self._path)
        return self._call

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()


class _SendingCall:
    """The client's end of a call that sends a stream and gets one answer."""

    def __init__(self, channel: MemoryChannel, path: str, requests: AsyncIterator[bytes]) -> None:
        self._metadata: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answer = asyncio.ensure_future(self._exchange(channel, path, requests))
        self._answer.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def initial_metadata(self) -> Any:
        """Return what the server says first; nothing if it says nothing before it answers."""
        ends = {self._metadata, self._answer}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return self._metadata.result() if self._metadata.done() else ()

    def cancel(self) -> None:
        self._answer.cancel()

    def __await__(self) -> Any:
        return self._answer.__await__()

    async def _exchange(
        self, channel: MemoryChannel, path: str, requests: AsyncIterator[bytes]
    ) -> bytes:
        async with _calling(channel, path) as call:
            sending = asyncio.ensure_future(_send(call, requests))
            answer = asyncio.ensure_future(self._received(call))
            try:
                await asyncio.wait({sending, answer}, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() and sending.exception() is not None:
                    raise asyncio.CancelledError  # how gRPC says that the iterator failed
                return await answer
            finally:
                sending.cancel()
                answer.cancel()

    async def _received(self, call: Call) -> bytes:
        while isinstance(item := _checked(await call.down.get()), Metadata):
            self._metadata.set_result(item.lines)
        if item is END:
            raise broken("no message", grpc.StatusCode.INTERNAL)
        return item  # type: ignore[no-any-return]


async def _send(call: Call, requests: AsyncIterator[bytes]) -> None:
    async for message in requests:
        call.up.put(message)
    call.up.put(END)


async def _one(call: Call) -> bytes:
    message: bytes = _checked(await call.down.get())
    if message is END:
        raise broken("no message", grpc.StatusCode.INTERNAL)
    return message


def _checked(item: Any) -> Any:
    if not isinstance(item, Status):
        return item
    if item.code is grpc.StatusCode.OK:
        return END
    raise broken(item.details, item.code)


class _StreamCall:
    """The client's end of the long stream."""

    def __init__(self, channel: MemoryChannel, path: str) -> None:
        self._channel, self._path = channel, path
        self._call: Call | None = None

    async def read(self) -> Any:
        item = _checked(await (await self._begun()).down.get())
        return grpc.aio.EOF if item is END else item

    async def write(self, message: bytes) -> None:
        call = await self._begun()
        if call.down._fault is not None:
            raise call.down._fault
        call.up.put(message)

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call nobody: no status is replaced here, which is all that it is asked for."""

    def cancel(self) -> None:
        if self._call is not None:
            self._call.cancel()

    async def _begun(self) -> Call:
        if self._call is None:
            self._call = await self._channel.call(self._path)
        return self._call
