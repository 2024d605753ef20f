"""One end of the long-lived stream: a queue out, a reader in, and a heartbeat.

A link is dead if nothing was read for `SILENCE`; both ends send a `ping`, with their time, after
`PING` without another message, and every three `PING` in any case. These two are a link's only
timers. Silence is measured by periodic checks: a late one shows that this end was stalled, and what
waits is read first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from secureflow.kit.canonical import JSON
from secureflow.kit.clock import CHECK_INTERVAL, Clock, stalled
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.wire import MAX_DEPTH, Envelope, decode, encode

PING: Final = 5.0
SILENCE: Final = 30.0
MAX_WAITING: Final = 4096
"""Maximum envelopes that wait to be written: a peer that never reads is cut off."""

LONG: Final = 16 * 1024
"""Size from which an envelope takes longer to parse than to pass to a thread."""


def _no_time(theirs: JSON) -> None:
    del theirs


class Pipe(Protocol):
    """The interface of gRPC's bidirectional streams, the same at both ends."""

    async def read(self) -> Any:
        """Return the next message, or gRPC's end mark."""

    async def write(self, message: bytes) -> None:
        """Send a message."""


class _Looking:
    """Postpones a deadline whenever this process itself was stalled.

    A check is due before the deadline, so even after a stall it runs first.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, silence: asyncio.Timeout) -> None:
        self._loop = loop
        self._silence = silence
        self._wait()

    def stop(self) -> None:
        """Stop checking."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._asked, self._since = min(CHECK_INTERVAL, SILENCE / 2), self._loop.time()
        self._timer = self._loop.call_later(self._asked, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if stalled(self._asked, now - self._since):
            self._silence.reschedule(now + SILENCE)
        self._wait()


class Stream:
    """Reads and writes envelopes until the link ends.

    Args:
        pipe: a gRPC call or servicer context.
        receive: called with every envelope but pings, in order.
        pace: called with the size of every received message; returns how many seconds to pause
            before the next one is read. Then only the peer is slowed down, by flow control.
        clock: unix seconds, sent with each ping.
        compare: called with the peer's; None from an older version.
        depth: most levels of a received body.
    """

    def __init__(
        self,
        pipe: Pipe,
        receive: Callable[[Envelope], None],
        pace: Callable[[int], float] = lambda _: 0.0,
        *,
        clock: Clock | None = None,
        compare: Callable[[JSON], None] = _no_time,
        depth: int = MAX_DEPTH,
    ) -> None:
        self._pipe = pipe
        self._receive = receive
        self._pace = pace
        self._clock = clock
        self._compare = compare
        self._depth = depth
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self._closed: asyncio.Future[SecureFlowError | None] = (
            asyncio.get_running_loop().create_future()
        )

    def send(self, envelope: Envelope) -> None:
        """Queue an envelope.

        Raises:
            SecureFlowError: `envelope_too_large`, `not_canonical`, `malformed_envelope`.
        """
        self.send_encoded(encode(envelope))

    def send_encoded(self, data: bytes) -> None:
        """Queue an encoded envelope."""
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            self.close(SecureFlowError("link_stuck", "The peer does not read what it is sent."))

    def close(self, reason: SecureFlowError | None = None) -> None:
        """End `run`, with the reason if there is one."""
        if not self._closed.done():
            self._closed.set_result(reason)

    async def read(self) -> Envelope | None:
        """Return the next envelope, or None at the stream's end.

        Raises:
            SecureFlowError: `link_silent`, and those of `decode`.
        """
        try:
            async with asyncio.timeout(SILENCE) as silence:
                looking = _Looking(asyncio.get_running_loop(), silence)
                try:
                    data = await self._pipe.read()
                finally:
                    looking.stop()
        except TimeoutError as error:
            raise SecureFlowError(
                "link_silent", Text("The link was silent for {silence:g} seconds.", silence=SILENCE)
            ) from error
        if not isinstance(data, bytes):
            return None
        if pause := self._pace(len(data)):
            await asyncio.sleep(pause)
        # Long ones in a thread: they arrive from every party at the same time.
        if len(data) < LONG:
            return decode(data, self._depth)
        return await asyncio.to_thread(decode, data, self._depth)

    async def run(self) -> None:
        """Carry envelopes both ways until the stream ends or is closed.

        Raises:
            SecureFlowError: the reason of `close`, or what `read` raised.
        """
        writing = asyncio.create_task(self._write_all())
        reading = asyncio.create_task(self._read_all())
        ends: set[asyncio.Future[Any]] = {reading, self._closed}
        try:
            # A broken stream fails the writer too, but only the reader learns why.
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                if isinstance(reason := ended.result(), SecureFlowError):
                    raise reason
        finally:
            writing.cancel()
            reading.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

    async def write(self, envelope: Envelope) -> None:
        """Send an envelope at once (before `run`)."""
        await self._pipe.write(encode(envelope))

    async def _read_all(self) -> None:
        while envelope := await self.read():
            if envelope.kind == "ping":
                self._compare(envelope.body.get("time"))
            else:
                self._receive(envelope)

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        pinged = loop.time()
        while True:
            data: bytes | None = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING):
                    data = await self._queue.get()
            if data is not None:
                await self._pipe.write(data)
            if data is None or loop.time() - pinged >= 3 * PING:
                pinged = loop.time()
                await self._pipe.write(self._ping())

    def _ping(self) -> bytes:
        body = {} if self._clock is None else {"time": self._clock()}
        return encode(Envelope("", "ping", body))
