"""The agent's links for one channel: dials, carries frames, and dials again where one was cut.

A link is a stream to the centre's relay, on an HTTP/2 connection of its own (a full channel must
not delay the agent's control link), or a TCP connection to the peer. What a cut lost is sent again
over the next link; the TLS session above does not notice. A link on which nothing was heard for
`SILENCE` counts as cut, and a channel of which nothing was heard for its limit is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from secureflow.adapters.link.backoff import JitteredBackoff
from secureflow.adapters.link.credentials import Credentials
from secureflow.adapters.link.refusals import CallEnd, rpc_errors
from secureflow.adapters.link.tls import KEEPALIVE, SERVER_NAME, identity, open_channel
from secureflow.engines.peers.faults import LEFT, ChannelFaultError
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.clock import CHECK_INTERVAL, stalled
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

JOIN: Final = "/secureflow.wire.v1.Peers/Join"
HEARTBEAT: Final = 5.0
"""Seconds between two heartbeats, at most; three in the time that a peer may be away."""
SILENCE: Final = 15.0
"""Seconds without anything from the peer after which a link that once worked counts as cut."""
LONGEST_PAUSE: Final = 2.0
"""Seconds between two attempts to dial."""
LAST_WORD: Final = 1.0
"""Seconds for a last word over a link that is hung up."""
_RESTARTED: Final = "the centre says that the peer's agent was restarted and has lost the attempt"
_JOINED: Final = 1 << 16
"""Frames are written together up to so many bytes: each write costs more than its bytes."""

_log = get_logger(__name__)


class PeerPipe(Protocol):
    """One link: a stream of messages, or of bytes in pieces of any size."""

    async def read(self) -> Any:
        """Return the next bytes; anything else at the end."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits for room."""

    async def done_writing(self) -> None:
        """Send nothing more."""


Dial = Callable[[], contextlib.AbstractAsyncContextManager[PeerPipe]]
"""Opens a link, or raises `SecureFlowError`."""


class Conversation(Protocol):
    """What a link carries (`peersession.PeerSession`)."""

    @property
    def met(self) -> bool:
        """Whether the peer answers over the current link."""

    @property
    def heard(self) -> int:
        """Grows with everything that the peer itself has sent."""

    def begin(self) -> bytes:
        """Begin with a new link; return the first frame for it."""

    def heartbeat(self) -> bytes:
        """Return a frame that shows that this end is there."""

    def take(self, data: bytes) -> None:
        """Take what a link brought."""

    def outgoing(self) -> list[bytes]:
        """Return the frames to write now."""


@dataclass(frozen=True)
class Place:
    """Which channel a stream to the relay belongs to; the relay knows who asks.

    Args:
        job: its id.
        attempt: its number.
        peer: the organisation at the other end.
    """

    job: str
    attempt: int
    peer: str


class Dialling(Protocol):
    """How an agent reaches its peers."""

    def to(self, place: Place, tag: bytes) -> Dial:
        """Return what dials for one channel; the tag is known to its two ends and the centre."""


class RelayDialler:
    """Opens streams to the centre's relay.

    Args:
        address: `host:port` of the centre's link.
        credentials: returns the newest credentials of this agent.
    """

    def __init__(self, address: str, credentials: Callable[[], Credentials]) -> None:
        self._address = address
        self._credentials = credentials

    def to(self, place: Place, tag: bytes) -> Dial:
        """Return what dials for one channel."""
        del tag  # the relay joins by place
        return lambda: self._dial(place)

    @contextlib.asynccontextmanager
    async def _dial(self, place: Place) -> AsyncIterator[PeerPipe]:
        channel = open_channel(self._address, self._credentials(), SERVER_NAME, keepalive=KEEPALIVE)
        try:
            call: Any = channel.stream_stream(JOIN, identity, identity)()
            with rpc_errors("the server"):
                async with CallEnd(call).kept():
                    await call.write(canonical_bytes(vars(place)))
                    yield call
        finally:
            await channel.close()


class ResumingLink:
    """Keeps a conversation on some link until it is stopped.

    Args:
        conversation: what is carried.
        dial: opens a link.
        changed: called whenever something was taken.
        heartbeat: seconds after which an end that has nothing to write shows that it is there.
    """

    def __init__(
        self,
        conversation: Conversation,
        dial: Dial,
        changed: Callable[[], None],
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self._conversation = conversation
        self._dial = dial
        self._changed = changed
        self._heartbeat = heartbeat
        self._output = asyncio.Event()
        self._backoff = JitteredBackoff(LONGEST_PAUSE)
        self.heard = asyncio.get_running_loop().time()
        """When something came that only the peer can send, in the loop's seconds."""
        self.trouble: SecureFlowError | None = None
        """Why there is no link now."""
        self._stopping = False
        self.cuts = 0
        """How many links on which the peer had answered were cut."""

    def wake(self) -> None:
        """Look whether there is something to write."""
        self._output.set()

    def stop(self) -> None:
        """Write what there is, then hang up; `run` returns soon."""
        self._stopping = True
        self._output.set()

    async def run(self) -> None:
        """Carry until stopped.

        Raises:
            ChannelFaultError: the channel cannot go on.
        """
        while not self._stopping:
            try:
                async with self._dial() as pipe:
                    await self._carry(pipe)
            except SecureFlowError as error:
                self.trouble = error
                if error.code == LEFT:
                    raise ChannelFaultError(_RESTARTED) from error
                _log.debug("peer_link_down", code=error.code, message=error.message)
            if not self._stopping:
                await self._backoff.wait()

    async def watch(self, cut_seconds: Callable[[], float | None]) -> float:
        """Return once nothing was heard of the peer for so long; return for how long.

        Args:
            cut_seconds: the limit now; None for none.
        """
        loop = asyncio.get_running_loop()
        while True:
            asked, began = CHECK_INTERVAL / 2, loop.time()
            await asyncio.sleep(asked)
            now, most = loop.time(), cut_seconds()
            if most is None or stalled(asked, now - began):
                self.heard = now  # this process itself stood still: others were not silent
            elif now - self.heard > most:
                return most

    async def _carry(self, pipe: PeerPipe) -> None:
        hello = self._conversation.begin()  # before anything of the new link is taken
        reading = asyncio.create_task(self._read(pipe))
        writing = asyncio.create_task(self._write(pipe, hello))
        both = {reading, writing}
        try:
            _, other = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            # Only the reader learns why a link broke; the writer may have a last word, too.
            if other and (writing.done() or isinstance(reading.exception(), ChannelFaultError)):
                self.stop() if reading.done() else None
                await asyncio.wait(other, timeout=LAST_WORD)
            for ended in (reading, writing):
                if ended.done() and (error := ended.exception()) is not None:
                    raise error
        finally:
            self.cuts += self._conversation.met and not self._stopping
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _read(self, pipe: PeerPipe) -> None:
        """Read until the link ends, or is silent although the peer had answered on it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(SILENCE if self._conversation.met else None):
                    data = await pipe.read()
            except TimeoutError:
                return
            if not isinstance(data, bytes) or not data:
                return
            before = self._conversation.heard
            self._conversation.take(data)
            if self._conversation.heard != before:
                self.heard = loop.time()
                self._backoff.reset()  # whoever only carries, or asks again, gets no link sooner
            self.trouble = None
            self._output.set()
            self._changed()

    async def _write(self, pipe: PeerPipe, hello: bytes) -> None:
        loop = asyncio.get_running_loop()
        await pipe.write(hello)
        self._output.set()
        beat = loop.time() + self._heartbeat
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat):
                    await self._output.wait()
            self._output.clear()
            beats = []
            if loop.time() >= beat:
                beat = loop.time() + self._heartbeat
                beats = [self._conversation.heartbeat()] if self._conversation.met else []
            frames = [*self._conversation.outgoing(), *beats]
            while frames:
                for data in _together(frames):
                    await pipe.write(data)
                self._changed()  # there is room again
                frames = self._conversation.outgoing()
            if self._stopping:
                if self._conversation.met:
                    await pipe.write(self._conversation.heartbeat())
                await pipe.done_writing()
                return


def _together(frames: list[bytes]) -> list[bytes]:
    """Join short frames."""
    if len(frames) == 1:
        return frames
    joined: list[bytes] = []
    held: list[bytes] = []
    size = 0
    for frame in frames:
        if size + len(frame) > _JOINED and held:
            joined.append(b"".join(held))
            held, size = [], 0
        held.append(frame)
        size += len(frame)
    return [*joined, b"".join(held)] if held else joined
