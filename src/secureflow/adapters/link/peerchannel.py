"""A channel to one peer as engines and verbs use it (`application.ports.peers`)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from secureflow.adapters.link.peerlink import HEARTBEAT, LAST_WORD, Dial, ResumingLink
from secureflow.adapters.link.peersession import PeerSession
from secureflow.application.ports.peers import MAX_CONTENT, MAX_MESSAGE, ChannelLimits
from secureflow.engines.peers.faults import ChannelEnds, ChannelFaultError
from secureflow.engines.peers.multiplex import MESSAGES
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

LINGER: Final = 5.0
"""Seconds for which a closed channel waits for the peer's end to have everything."""
_LENGTH: Final = 4
"""Bytes before each message: its length, big-endian."""
STEP: Final = 1 << 20
"""Bytes that are reserved at a time, at least."""
_STEPS: Final = 64
"""Times that a process reserves, some more where `STEP` is larger than their share."""
_READ: Final = 1 << 20
"""Bytes of a message taken at once."""
_TOGETHER: Final = 32
"""Messages that are returned in a row, if so many wait; then others have their turn."""

_log = get_logger(__name__)

_T = TypeVar("_T")


class Pulse:
    """Wakes everyone who waits for a change."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Wait for the next change."""
        change = asyncio.get_running_loop().create_future()
        self._waiting.add(change)
        try:
            await change
        finally:
            self._waiting.discard(change)

    def beat(self) -> None:
        """Say that something changed."""
        for one in self._waiting:
            if not one.done():
                one.set_result(None)


class ContentMeter:
    """Counts the content of all channels of a job against its limit, in bytes.

    What is carried is reserved before, in steps: a process that dies has counted too much by two
    steps at most, and never too little.

    Args:
        begun: bytes that an earlier process has reserved.
        reserve: keeps a higher number of bytes for a later process.
    """

    def __init__(
        self, begun: int = 0, reserve: Callable[[int], None] = lambda _: None
    ) -> None:  # fmt: skip
        self._begun = begun
        self._reserved = begun
        self._reserve = reserve
        self._used: dict[str, int] = {}

    def exceeds(self, peer: str, more: int, most: int) -> bool:
        """Count more bytes with a peer; tell whether that is too many.

        Raises:
            SecureFlowError: what is reserved cannot be kept.
        """
        self._used[peer] = self._used.get(peer, 0) + more
        total = self._begun + sum(self._used.values())
        step = max(STEP, most // _STEPS)
        if total + step > self._reserved:
            self._reserve(total + 2 * step)
            self._reserved = total + 2 * step
        return total > most

    @property
    def greatest(self) -> str:
        """The peer with whom most was exchanged: the last byte may be anybody's."""
        return max(self._used, key=lambda peer: self._used[peer])


class LinkedChannel:
    """Implements `PeerChannel` over a session and its links.

    Args:
        ends: for errors.
        session: this end, without IO.
        dial: opens links.
        limits: of the job.
        meter: counts for the job.
    """

    def __init__(
        self,
        ends: ChannelEnds,
        session: PeerSession,
        dial: Dial,
        limits: ChannelLimits,
        meter: ContentMeter,
    ) -> None:
        self._ends = ends
        self._session = session
        self._limits = limits
        self._meter = meter
        self._counted = 0
        self._error: SecureFlowError | None = None
        self._pulse = Pulse()
        self._sending = asyncio.Lock()
        self._receiving = asyncio.Lock()
        self._partial = bytearray()
        self._messages = 0
        heartbeat = min(HEARTBEAT, limits.cut_seconds / 3)
        self._link = ResumingLink(session, dial, self._changed, heartbeat)
        self._running = asyncio.create_task(self._run())

    @property
    def peer(self) -> str:
        """The organisation at the other end."""
        return self._ends.peer

    @property
    def sent(self) -> int:
        """Bytes of content sent so far."""
        return self._session.connections.sent

    @property
    def received(self) -> int:
        """Bytes of content received so far."""
        return self._session.connections.received

    @property
    def cuts(self) -> int:
        """How many links were cut so far."""
        return self._link.cuts

    async def until_ready(self) -> None:
        """Wait until both ends have verified each other.

        Raises:
            SecureFlowError: `peer_broken`.
        """
        await self._until(lambda: self._session.ready or None)

    def absent(self, seconds: float) -> SecureFlowError:
        """Return the error for a peer that did not come in time; see `until_ready`."""
        trouble = self._link.trouble
        return self._ends.absent(seconds, self._session.phase, trouble.message if trouble else "")

    async def send(self, message: bytes) -> None:
        """Send one message; see `PeerChannel`."""
        if len(message) > MAX_MESSAGE:
            raise SecureFlowError(
                "too_large",
                Text(
                    "A message to {peer} has {size} bytes; at most {most} are allowed.",
                    peer=self.peer,
                    size=len(message),
                    most=MAX_MESSAGE,
                ),
                "Send it in several messages.",
            )
        async with self._sending:
            self._check_writable()
            try:
                head = len(message).to_bytes(_LENGTH, "big")
                await self.write(MESSAGES, head + message if len(message) < _READ else head)
                if len(message) >= _READ:
                    await self.write(MESSAGES, message)
            except asyncio.CancelledError:
                self.fail(self._broken("a message was cut short here"))
                raise

    async def receive(self) -> bytes | None:
        """Return the next message; see `PeerChannel`."""
        async with self._receiving:
            self._messages += 1
            if self._messages % _TOGETHER == 0:
                await asyncio.sleep(0)
            partial = self._partial
            if not await self._filled(_LENGTH):
                return None
            size = int.from_bytes(partial[:_LENGTH], "big")
            if size > MAX_MESSAGE:
                raise self.fail(self._broken("the peer sends a message that is too long"))
            if not await self._filled(_LENGTH + size):
                raise self.fail(self._broken("the peer closed in the middle of a message"))
            self._partial = bytearray()
            return bytes(memoryview(partial)[_LENGTH:])

    async def open(self) -> LinkedConnection:
        """Open a further byte stream; see `PeerChannel`."""
        self._check_writable()
        number = await self._until(self._session.connections.open)
        self._link.wake()
        return LinkedConnection(self, number)

    async def accept(self) -> LinkedConnection:
        """Return the next byte stream that the peer opens; see `PeerChannel`."""

        def accepted() -> int | None:
            number = self._session.connections.accept()
            if number is None:
                self._check_writable()
            return number

        return LinkedConnection(self, await self._until(accepted))

    async def close(self) -> None:
        """Close cleanly; see `PeerChannel`."""
        connections = self._session.connections
        try:
            if not connections.closed_there:
                connections.close()
                self._link.wake()
                await self._seen()
            with contextlib.suppress(TimeoutError, SecureFlowError):
                # The peer may still wait for this end's answer; if it is gone, it has it.
                async with asyncio.timeout(LINGER):
                    await self._until(lambda: self._session.delivered or None)
        finally:
            await self.hang_up()

    async def _seen(self) -> None:
        """Wait until the peer knows that this end has closed, as long as it may be away."""
        connections = self._session.connections
        try:
            async with asyncio.timeout(self._limits.cut_seconds):
                await self._until(
                    lambda: connections.seen_there or connections.closed_there or None
                )
        except TimeoutError:
            raise self.fail(self._broken("the peer did not answer that it was closed")) from None

    async def give_up(self, error: SecureFlowError) -> None:
        """End the channel with an error here; the peer learns that it ended."""
        connections = self._session.connections
        if not connections.closed_there and not connections.seen_there:
            self.fail(error)
        await self.hang_up()

    async def hang_up(self) -> None:
        """End the link, after what there is to write."""
        self._link.stop()
        if self._session.met:
            await asyncio.wait({self._running}, timeout=2 * LAST_WORD)
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    def fail(self, error: SecureFlowError) -> SecureFlowError:
        """Fail every use of the channel from now on; return the first error."""
        if self._error is None:
            self._error = error
            self._session.connections.fail()
            self._link.stop()
            self._pulse.beat()
        return self._error

    # For connections.

    async def read(self, number: int, most: int) -> bytes:
        """Read from a connection."""
        connections = self._session.connections

        def taken() -> bytes | None:
            if connections.aborted(number):
                raise ConnectionResetError
            return connections.read(number, most)

        data = await self._until(taken)
        self._link.wake()  # there may be credit to give
        return data

    async def write(self, number: int, data: bytes) -> None:
        """Write to a connection."""
        connections, left = self._session.connections, memoryview(bytes(data))

        def taken() -> int | None:
            if connections.aborted(number):
                raise ConnectionResetError
            return connections.write(number, left) or None

        while left:
            left = left[await self._until(taken) :]
            self._link.wake()
            self._count()

    def end(self, number: int) -> None:
        """Write nothing more to a connection."""
        self._session.connections.end(number)
        self._link.wake()

    def abort(self, number: int) -> None:
        """Drop a connection."""
        self._session.connections.abort(number)
        self._link.wake()

    async def _until(self, found: Callable[[], _T | None]) -> _T:
        """Return what a function finds, which is asked again after every change."""
        while True:
            if self._error is not None:
                raise self._error
            result = found()
            if result is not None:
                return result
            await self._pulse.wait()

    async def _filled(self, size: int) -> bool:
        """Read the message until it has so many bytes; False if it ends before the first."""
        while (missing := size - len(self._partial)) > 0:
            data = await self.read(MESSAGES, min(missing, _READ))
            if not data:
                if not self._partial or len(self._partial) >= _LENGTH:
                    return False
                raise self.fail(self._broken("the peer closed in the middle of a message"))
            self._partial += data
        return True

    def _check_writable(self) -> None:
        if self._error is not None:
            raise self._error
        if self._session.connections.closed_there:
            raise self._ends.closed()

    def _broken(self, reason: str) -> SecureFlowError:
        return self._ends.broken(reason, self._session.phase)

    def _changed(self) -> None:
        if self._session.connections.failed_there and not self._session.connections.closed_there:
            self.fail(self._broken("the peer gave it up"))
        self._count()
        self._pulse.beat()

    def _count(self) -> None:
        total = self._session.connections.carried
        more, self._counted = total - self._counted, total
        try:
            exceeds = self._meter.exceeds(self.peer, more, self._limits.bytes)
        except SecureFlowError as error:
            self.fail(error)
            return
        if exceeds:
            reason = Text(
                "the channels of {own} have carried more than {most} MiB in this job",
                own=self._ends.own,
                most=self._limits.bytes >> 20,
            )
            ends = replace(self._ends, peer=self._meter.greatest)
            self.fail(ends.over_limit(reason, "limits.peer_megabytes"))
        elif total > MAX_CONTENT:
            reason = Text("it has carried more than {most} bytes", most=MAX_CONTENT)
            self.fail(self._ends.over_limit(reason))

    def _reason(self, fault: BaseException) -> str:
        if isinstance(fault, ChannelFaultError):
            return fault.reason
        _log.error("peer_link_defect", peer=self.peer, exc_info=fault)
        return "an internal error of this agent; its log has the trace"

    def _cut_seconds(self) -> float | None:
        """Return for how long the peer may be away now; None while that has another limit."""
        return self._limits.cut_seconds if self._session.ready else None

    async def _run(self) -> None:
        linking = asyncio.create_task(self._link.run())
        watching = asyncio.create_task(self._link.watch(self._cut_seconds))
        timing = asyncio.create_task(asyncio.sleep(self._limits.seconds))
        every: set[asyncio.Task[object]] = {linking, watching, timing}
        try:
            await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
            if timing.done():
                reason: str = Text("more than {most:g} seconds", most=self._limits.seconds)
                self.fail(self._ends.over_limit(reason, "limits.seconds"))
            elif watching.done() and not self._session.connections.closed_there:
                reason = Text(
                    "the peer was away for {seconds:g} seconds", seconds=watching.result()
                )
                self.fail(self._broken(reason))
            if not linking.done():
                await asyncio.wait({linking}, timeout=2 * LAST_WORD)
            if linking.done() and (fault := linking.exception()) is not None:
                self.fail(self._broken(self._reason(fault)))
        finally:
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)
            self._pulse.beat()


class LinkedConnection:
    """Implements `PeerConnection`."""

    def __init__(self, channel: LinkedChannel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._dropped = False

    async def read(self, n: int) -> bytes:
        """Return 1 to `n` bytes, or b"" at the end; see `PeerConnection`."""
        self._check()
        return await self._channel.read(self._number, n)

    async def write(self, data: bytes) -> None:
        """Send bytes; see `PeerConnection`."""
        self._check()
        await self._channel.write(self._number, data)

    def close_write(self) -> None:
        """Send nothing more."""
        if not self._dropped:
            self._channel.end(self._number)

    def abort(self) -> None:
        """Drop the connection."""
        if not self._dropped:
            self._dropped = True
            self._channel.abort(self._number)

    def _check(self) -> None:
        if self._dropped:
            raise ConnectionResetError
