"""Connections of the network in memory: in order, and broken as TCP's are."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from secureflow.wire import decode
from tests.chaos.virtual import OUTSIDE, Life
from tests.chaos.weather import DOWN, UP, broken

if TYPE_CHECKING:
    from tests.chaos.network import MemoryServer, Network


_ANSWERS = {"reply", "failure", "progress"}


class Pipe:
    """One direction of a call."""

    def __init__(self, wire: Wire, way: str, *, mutable: bool = False) -> None:
        self._wire = wire
        self._mutable = mutable
        self._way = way
        self._arrived: deque[Any] = deque()
        self._last = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._fault: BaseException | None = None

    def put(self, item: Any) -> None:
        """Send; it arrives after whatever was sent before."""
        network = self._wire.network
        if network.loop.now < network.weather(*self._wire.pair).mute and self._is_answer(item):
            return
        self._last = max(self._last + 1e-6, network.arrival(self._wire.pair, self._way))
        network.loop.call_at(self._last, self._arrive, item, context=OUTSIDE)

    def fail(self, fault: BaseException) -> None:
        """Let the reader know, after what arrived before."""
        self._fault = self._fault or fault
        self._wake()

    async def get(self) -> Any:
        """Return the next item."""
        while not self._arrived:
            if self._fault is not None:
                raise self._fault
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._arrived.popleft()

    def _is_answer(self, item: Any) -> bool:
        return self._mutable and isinstance(item, bytes) and decode(item).kind in _ANSWERS

    def _arrive(self, item: Any) -> None:
        if self._fault is None:
            self._arrived.append(item)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


END = object()


@dataclass(frozen=True)
class Metadata:
    """What a server says before its answer."""

    lines: tuple[Any, ...]


@dataclass(frozen=True)
class Status:
    """How a call ended."""

    code: grpc.StatusCode
    details: str


class Wire:
    """One connection: the calls on it."""

    def __init__(
        self, network: Network, client: Life | None, listener: MemoryServer, pem: bytes
    ) -> None:
        self.network = network
        self.client = client
        self.listener = listener
        self.pem = pem
        self.pair = (client.name if client else "", listener.name)
        self.calls: set[Call] = set()
        self.broken = False
        network.wires.add(self)

    def snap(self, reason: str, by: Life | None = None) -> None:
        """Break: an end that is beyond a hole hears of it when the hole is over."""
        if self.broken:
            return
        self.broken = True
        self.network.wires.discard(self)
        calls = tuple(self.calls)  # the server's end may let go of one before its client hears
        weather, now = self.network.weather(*self.pair), self.network.loop.now
        ends = ((self.client, DOWN, self._tell_client), (self.listener.life, UP, self._tell_server))
        for life, way, tell in ends:
            late = weather.hole[way] if by is not None and life is not by else now
            self.network.loop.call_at(max(now, late), tell, reason, calls, context=OUTSIDE)

    def watch(self, seconds: float, missed: int = 0) -> None:
        """Break, once two looks in a row find nobody who answers (gRPC's keepalive)."""
        weather, loop = self.network.weather(*self.pair), self.network.loop
        unheard = loop.now < max(weather.hole.values()) or self.listener.life.stopped
        missed = missed + 1 if unheard else 0
        if missed > 1:
            self.snap("keepalive watchdog timeout", by=self.client)
        elif not self.broken:
            loop.call_at(loop.now + seconds, self.watch, seconds, missed, context=OUTSIDE)

    def _tell_client(self, reason: str, calls: Iterable[Call]) -> None:
        for call in calls:
            call.down.fail(broken(reason))

    def _tell_server(self, _: str, calls: Iterable[Call]) -> None:
        for call in calls:
            call.drop()


class Call:
    """One RPC."""

    def __init__(self, wire: Wire, path: str) -> None:
        self.wire = wire
        self.path = path
        self.up = Pipe(wire, UP, mutable=path.endswith("/Connect"))
        self.down = Pipe(wire, DOWN)
        self.task: asyncio.Task[None] | None = None
        self._dropped = False
        wire.calls.add(self)
        network = wire.network
        at = network.arrival(wire.pair, UP)
        self.up._last = at
        network.loop.call_at(at, self._begin, context=OUTSIDE)

    def cancel(self) -> None:
        """The client hangs this call up."""
        network = self.wire.network
        at = max(self.up._last + 1e-6, network.arrival(self.wire.pair, UP))
        network.loop.call_at(at, self.drop, context=OUTSIDE)

    def drop(self) -> None:
        """End it at the server's end, as gRPC does: the handler is cancelled."""
        self._dropped = True
        self.wire.calls.discard(self)
        if self.task is not None:
            self.task.cancel()

    def _begin(self) -> None:
        listener = self.wire.listener
        if not self._dropped and not self.wire.broken and not listener.life.dead:
            self.task = listener.serve(self)
