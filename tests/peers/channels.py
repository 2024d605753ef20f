"""Channels between agents: two ends and whoever carries their bytes, honest or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from secureflow.adapters.link.peerlink import Dial, PeerPipe, Place
from secureflow.agent.peers.channels import PeerChannels
from secureflow.application.ports.peers import ChannelLimits, PeerChannel
from secureflow.engines.peers.statements import ChannelScope
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

BANKS = ("bank-a", "bank-b", "bank-c")
KEYS = {bank: SigningKey.generate() for bank in BANKS}
PUBLIC = {bank: key.public for bank, key in KEYS.items()}


def scope(**changed: Any) -> ChannelScope:
    """The scope of an attempt, or one that differs in some part."""
    parts: dict[str, Any] = {
        "job": "job_1", "spec": "5" * 64, "attempt": 1, "program": "9" * 64, "keys": PUBLIC,
    }  # fmt: skip
    return ChannelScope(**(parts | changed))


class Carrier:
    """A relay in memory: a pipe per end, joined in pairs; a test may change what passes.

    `change` is called with the sender and each message, and returns what is passed on instead.
    """

    def __init__(self) -> None:
        self.change: Callable[[str, bytes], list[bytes]] = lambda _, data: [data]
        self.links = 0
        self.refusing = False
        self._waiting: dict[str, _Pipe] = {}
        self._pipes: list[_Pipe] = []

    def of(self, party: str) -> Dialler:
        """How a party dials."""
        return Dialler(self, party)

    def cut(self) -> None:
        """End every link now; what is under way is lost."""
        for pipe in self._pipes:
            pipe.lose()
        self._pipes.clear()

    @contextlib.asynccontextmanager
    async def join(self, party: str, place: Place) -> AsyncIterator[PeerPipe]:
        """Give an end its pipe, once the other one is there."""
        if self.refusing:
            raise SecureFlowError("link_broken", "The centre is away.")
        pipe = _Pipe(self, party)
        here, there = (f"{place.job}/{place.attempt}/{one}/{two}" for one, two in
                       ((party, place.peer), (place.peer, party)))  # fmt: skip
        first = self._waiting.pop(there, None)
        if first is not None and not first.met.done():
            pipe.met.set_result(first)
            first.met.set_result(pipe)
            self.links += 1
        else:
            self._waiting[here] = pipe
        try:
            await pipe.met
            self._pipes.append(pipe)
            yield pipe
        finally:
            pipe.leave()


class Dialler:
    """One party's way to its peers."""

    def __init__(self, carrier: Carrier, party: str) -> None:
        self._carrier = carrier
        self._party = party

    def to(self, place: Place, tag: bytes) -> Dial:
        """What dials for one channel."""
        return lambda: self._carrier.join(self._party, place)


class _Pipe:
    """One end's pipe; what is written goes into the other end's queue."""

    def __init__(self, carrier: Carrier, party: str) -> None:
        self._carrier = carrier
        self._party = party
        self._here: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self._gone = asyncio.Event()
        self.met: asyncio.Future[_Pipe] = asyncio.get_running_loop().create_future()

    def leave(self) -> None:
        """Be gone; the other end reads what is there, and then the end."""
        self._gone.set()
        if self.met.done() and not self.met.cancelled():
            other = self.met.result()
            other._ended = True
            other._poke()
        self.met.cancel()

    def lose(self) -> None:
        """Lose what is under way."""
        while not self._here.empty():
            self._here.get_nowait()
        self._ended = True
        self._gone.set()
        self._poke()

    _ended = False

    def _poke(self) -> None:
        if self._here.empty():
            self._here.put_nowait(None)

    async def read(self) -> Any:
        if self._ended and self._here.empty():
            return None
        return await self._here.get()

    async def write(self, data: bytes) -> None:
        for one in self._carrier.change(self._party, data):
            await self._put(one)

    async def done_writing(self) -> None:
        await self._put(None)

    async def _put(self, data: bytes | None) -> None:
        other = self.met.result()
        putting = asyncio.ensure_future(other._here.put(data))
        leaving = asyncio.ensure_future(other._gone.wait())
        try:
            await asyncio.wait({putting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not putting.done() or other._gone.is_set():
                raise SecureFlowError("link_broken", "The link was cut.")
        finally:
            putting.cancel()
            leaving.cancel()


class Pair:
    """Two agents' channels, and one between them once `open` was called."""

    def __init__(
        self, one: Any, other: Any, parties: tuple[str, str] = ("bank-a", "bank-b")
    ) -> None:
        self.parties = parties
        self.ends = [
            PeerChannels(party, KEYS[party], dialling)
            for party, dialling in zip(parties, (one, other), strict=True)
        ]

    async def open(
        self,
        of: ChannelScope | None = None,
        *,
        deadline: float = 120.0,
        limits: ChannelLimits | None = None,
    ) -> tuple[PeerChannel, PeerChannel]:
        """Offer and open at both ends."""
        of, (a, b) = of or scope(), self.parties
        offers = self.ends[0].offer(of, [b]), self.ends[1].offer(of, [a])
        most = limits or ChannelLimits()
        first, second = await asyncio.gather(
            self.ends[0].open(of, {b: offers[1][a]}, deadline=deadline, limits=most),
            self.ends[1].open(of, {a: offers[0][b]}, deadline=deadline, limits=most),
        )
        return first[b], second[a]

    async def stop(self) -> None:
        """End everything."""
        await asyncio.gather(*(end.stop() for end in self.ends))
