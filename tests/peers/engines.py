"""Channels in memory, and parties that run an engine over them in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from secureflow.application.ports.mpcengine import (
    EngineDeadlines,
    EngineJob,
    EngineLimits,
    EngineResult,
    MpcEngine,
)
from secureflow.kit.errors import SecureFlowError

PATIENCE = 120.0
"""Seconds: longer than any honest phase, whatever the machine does beside it."""
DEADLINES = EngineDeadlines(PATIENCE, PATIENCE, 4 * PATIENCE)


def gone() -> SecureFlowError:
    return SecureFlowError("peer_broken", "The channel broke.")


class Pipe:
    """One direction of a byte stream: a bounded queue."""

    def __init__(self) -> None:
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self.broken = False


class MemoryConnection:
    """`PeerConnection`."""

    def __init__(self, reading: Pipe, writing: Pipe) -> None:
        self._reading, self._writing, self._rest = reading, writing, b""

    async def read(self, size: int) -> bytes:
        while not self._rest:
            if self._reading.broken:
                raise gone()
            part = await self._reading.parts.get()
            if self._reading.broken:
                raise gone()
            if part is None:
                await self._reading.parts.put(None)
                return b""
            self._rest = part
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    async def write(self, data: bytes) -> None:
        if self._writing.broken:
            raise gone()
        await self._writing.parts.put(data)

    def close_write(self) -> None:
        self._closing = asyncio.ensure_future(self._writing.parts.put(None))

    def abort(self) -> None:
        for one in (self._reading, self._writing):
            one.broken = True
            while one.parts.full():
                one.parts.get_nowait()
            one.parts.put_nowait(b"")


class MemoryChannel:
    """`PeerChannel`, one end; `cut` is a peer that died, `close` one that went."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.sent = self.received = 0
        self.opened = 0
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._connections: asyncio.Queue[MemoryConnection] = asyncio.Queue()
        self._other: MemoryChannel | None = None
        self._cut = asyncio.Event()

    def join(self, other: MemoryChannel) -> None:
        self._other, other._other = other, self
        other._cut = self._cut

    async def send(self, message: bytes) -> None:
        assert self._other is not None
        if self._cut.is_set():
            raise gone()
        self.sent += len(message)
        self._other._messages.put_nowait(message)

    async def receive(self) -> bytes | None:
        found: bytes | None = await self._or_cut(self._messages.get())
        return found

    async def open(self) -> MemoryConnection:
        assert self._other is not None
        if self._cut.is_set():
            raise gone()
        self.opened += 1
        one, two = Pipe(), Pipe()
        self._other._connections.put_nowait(MemoryConnection(one, two))
        return MemoryConnection(two, one)

    async def accept(self) -> MemoryConnection:
        found: MemoryConnection = await self._or_cut(self._connections.get())
        return found

    async def close(self) -> None:
        assert self._other is not None
        self._other._messages.put_nowait(None)

    def cut(self) -> None:
        self._cut.set()

    async def _or_cut(self, wanted: Any) -> Any:
        getting = asyncio.ensure_future(wanted)
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait({getting, cut}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            raise gone()
        finally:
            for one in (getting, cut):
                one.cancel()
            await asyncio.gather(getting, cut, return_exceptions=True)


Channels = dict[str, dict[str, MemoryChannel]]


def channels_of(parties: Sequence[str]) -> Channels:
    """Return party → peer → its end of their channel."""
    made: Channels = {one: {} for one in parties}
    for number, one in enumerate(parties):
        for other in parties[number + 1 :]:
            made[one][other], made[other][one] = MemoryChannel(other), MemoryChannel(one)
            made[one][other].join(made[other][one])
    return made


@dataclass
class Table:
    """The parties of one attempt, each with its own engine object.

    Args:
        engines: party → engine; a party without one never comes.
        folder: for outputs.
        job: what all have alike; party, inputs, outputs and channels are filled in.
    """

    engines: Mapping[str, MpcEngine]
    folder: Path
    job: EngineJob
    inputs: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    told: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.channels = channels_of(self.job.parties)

    def of(self, party: str, **more: Any) -> EngineJob:
        outputs = self.folder / f"outputs-{party}"
        outputs.mkdir(exist_ok=True)
        made = replace(
            self.job, party=party, inputs=dict(self.inputs.get(party, {})), outputs=outputs,
            channels=self.channels[party],
        )  # fmt: skip
        return replace(made, **more)

    def start(self, party: str, **more: Any) -> asyncio.Task[EngineResult]:
        told = self.told.setdefault(party, [])
        job = self.of(party, **more)
        running = self.engines[party].run(job, lambda phase, share: told.append((phase, share)))
        return asyncio.ensure_future(running)

    async def run(self, **more: Mapping[str, Any]) -> dict[str, EngineResult | BaseException]:
        """Run every party that has an engine; `more` is of single parties."""
        tasks = {one: self.start(one, **more.get(one, {})) for one in self.engines}
        found = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return dict(zip(tasks, found, strict=True))


def job_of(parties: Sequence[str], **more: Any) -> EngineJob:
    """Return a job that lacks what `Table` fills in."""
    made = EngineJob(
        job="job_test", attempt=1, program="sum", digest="0" * 64, protocol="plain",
        party=parties[0], parties=tuple(parties), receivers=tuple(parties), inputs={},
        outputs=Path(), channels={}, deadlines=DEADLINES,
        limits=EngineLimits(memory=512 << 20, scratch=32 << 20),
    )  # fmt: skip
    return replace(made, **more)
