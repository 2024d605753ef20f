"""The centre's relay: joins the two ends of a channel between agents, and forwards their bytes.

Each end opens a stream (`/secureflow.wire.v1.Peers/Join`) and first says which channel it is for:
`{job, attempt, peer}`. The two streams of one (job, attempt, pair) are joined, and whatever one
brings is written to the other; the relay reads nothing of it (the agents speak TLS with each other)
and stores nothing. If one stream ends, so does the other: both agents come again and resume.

Bounds: an end's stream is read only while it is joined and less than `QUEUE` messages of it wait,
so a slow reader stops its writer; messages have at most `MAX_FRAME` bytes; streams are counted per
organisation and in all; one that waits for its other end, or on which nothing moves, is ended. The
newest stream of an end replaces its older one. Who waits for an organisation that is no longer in
the attempt (`left`: its agent was restarted, and has said so) is told that it waits in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc

from secureflow.adapters.link.identity import Context, Gate, PeerIdentity
from secureflow.adapters.link.refusals import refuse
from secureflow.adapters.link.tls import identity
from secureflow.engines.peers.faults import LEFT
from secureflow.engines.peers.framing import MAX_FRAME
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

MAX_PLACE: Final = 1024
MAX_ATTEMPT: Final = 1 << 20
QUEUE: Final = 2
"""Messages of one end that may wait for the other."""

MAX_LEFT: Final = 4096
"""Ends that are known to have left; beyond that the oldest are waited for as all others."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class PeerPlace:
    """The channel that a stream is for, as its agent names it."""

    job: str
    attempt: int
    peer: str


MayJoin = Callable[[PeerIdentity, PeerPlace], Awaitable[None]]
"""Raises unless both organisations are in the roster of a running job that has channels."""


@dataclass(frozen=True)
class RelayBounds:
    """Limits of the relay.

    Args:
        of_party: streams of one organisation.
        streams: in all; each holds at most `QUEUE` + 2 messages.
        place_seconds: until a stream says what it is for.
        wait_seconds: until the other end comes.
        idle_seconds: without a message of an end, or until one is taken; ends send heartbeats.
        again_seconds: between two looks whether the job still runs.
    """

    of_party: int = 64
    streams: int = 512
    place_seconds: float = 10.0
    wait_seconds: float = 60.0
    idle_seconds: float = 60.0
    again_seconds: float = 30.0


DEFAULT_RELAY: Final = RelayBounds()


class _End:
    """One end's stream."""

    def __init__(self, party: str, place: PeerPlace, context: Context) -> None:
        loop = asyncio.get_running_loop()
        self.party = party
        self.place = place
        self.context = context
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        """What the other end sent; None at its end."""
        self.joined: asyncio.Future[_End] = loop.create_future()
        self.closed: asyncio.Future[SecureFlowError] = loop.create_future()
        self.finished = False

    @property
    def key(self) -> tuple[str, int, frozenset[str]]:
        """The channel."""
        return self.place.job, self.place.attempt, frozenset({self.party, self.place.peer})

    def close(self, reason: SecureFlowError) -> None:
        """End the stream."""
        if not self.closed.done():
            self.closed.set_result(reason)


class Relay:
    """Serves `Peers`.

    Args:
        gate: admits peers.
        may_join: decides which channels there are.
        bounds: limits.
    """

    def __init__(self, gate: Gate, may_join: MayJoin, bounds: RelayBounds = DEFAULT_RELAY) -> None:
        self._gate = gate
        self._may_join = may_join
        self._bounds = bounds
        self._open: set[_End] = set()
        self._latest: dict[tuple[tuple[str, int, frozenset[str]], str], _End] = {}
        self._gone: dict[tuple[str, int, str], None] = {}
        self.carried = 0
        """Bytes forwarded so far."""

    def rpc(self) -> grpc.GenericRpcHandler:
        """Return the generic handler of the service."""
        join = grpc.stream_stream_rpc_method_handler(self._join, identity, identity)
        return grpc.method_handlers_generic_handler("secureflow.wire.v1.Peers", {"Join": join})

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._open)

    def cut(self, party: str, reason: SecureFlowError) -> None:
        """End the streams of an organisation, which is disabled or revoked."""
        for end in list(self._open):
            if end.party == party:
                end.close(reason)

    def left(self, job: str, attempt: int, party: str) -> None:
        """Take down that an organisation is no longer in an attempt; who waits for it is told."""
        self._gone[job, attempt, party] = None
        while len(self._gone) > MAX_LEFT:
            del self._gone[next(iter(self._gone))]
        for end in list(self._open):
            if self._waits_in_vain(end.place):
                end.close(_has_left(party))

    def _waits_in_vain(self, place: PeerPlace) -> bool:
        return (place.job, place.attempt, place.peer) in self._gone

    def stop(self) -> None:
        """End every stream: the centre stops, and its agents come again."""
        for end in list(self._open):
            end.close(SecureFlowError("server_stopping", "The server is stopping."))

    async def _join(self, _: Any, context: Context) -> None:
        peer = await self._gate.admit(context)
        try:
            end = _End(peer.party, await self._place(peer, context), context)
            await self._may_join(peer, end.place)
            if self._waits_in_vain(end.place):
                raise _has_left(end.place.peer)
            self._arrive(end)
            timer = asyncio.get_running_loop().call_later(
                self._gate.seconds_left(context) + 1, end.close, _expired(peer.party)
            )
            try:
                await self._serve(peer, end)
            finally:
                timer.cancel()
                self._leave(end)
        except SecureFlowError as error:
            _log.debug("peer_stream_ended", party=peer.party, code=error.code)
            await refuse(context, error)
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self._gate.refuse_fault(context, error)

    async def _place(self, peer: PeerIdentity, context: Context) -> PeerPlace:
        if peer.spiffe.role != "agent":
            raise SecureFlowError(
                "forbidden",
                Text("{spiffe} is not an agent: only agents have channels.", spiffe=peer.spiffe),
            )
        try:
            async with asyncio.timeout(self._bounds.place_seconds):
                data = await context.read()
        except TimeoutError as error:
            raise _silent(peer.party) from error
        return parse_place(data if isinstance(data, bytes) else b"", peer.party)

    def _arrive(self, end: _End) -> None:
        """Take the place of this end's older stream, and join the other end if it waits."""
        older = self._latest.get((end.key, end.party))
        if older is not None:
            older.close(_replaced(end.party))
            self._leave(older)
        self._make_room(end)
        self._open.add(end)
        self._latest[end.key, end.party] = end
        other = self._latest.get((end.key, end.place.peer))
        if other is not None and not other.joined.done() and not other.closed.done():
            other.joined.set_result(end)
            end.joined.set_result(other)

    def _make_room(self, end: _End) -> None:
        own = sum(1 for one in self._open if one.party == end.party)
        if own >= self._bounds.of_party or len(self._open) >= self._bounds.streams:
            raise SecureFlowError(
                "rate_limited",
                Text("{party} cannot open another channel now.", party=end.party),
                "Too many are open; it tries again by itself.",
            )

    def _leave(self, end: _End) -> None:
        """Forget an end; the one that it was joined with ends, too, and comes again."""
        self._open.discard(end)
        if self._latest.get((end.key, end.party)) is end:
            del self._latest[end.key, end.party]
        if end.joined.done() and not end.joined.cancelled() and not end.finished:
            end.joined.result().close(_away(end.party))

    async def _serve(self, peer: PeerIdentity, end: _End) -> None:
        """Forward until both ends have finished, or either end's stream is gone.

        Raises:
            SecureFlowError: why this one was ended.
        """
        writing = asyncio.create_task(self._write(end))
        reading = asyncio.create_task(self._read(end))
        every: set[asyncio.Future[Any]] = {writing, reading, end.closed}
        try:
            while not (reading.done() and writing.done()):
                ended, every = await asyncio.wait(
                    every,
                    timeout=self._bounds.again_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for one in ended - {end.closed}:
                    one.result()  # raises why it ended
                if end.closed in ended:
                    raise end.closed.result()
                if not ended:
                    await self._may_join(peer, end.place)
            end.finished = True
        finally:
            for task in (writing, reading):
                task.cancel()
            await asyncio.gather(writing, reading, return_exceptions=True)

    async def _read(self, end: _End) -> None:
        """Read an end, once it is joined, as fast as the other one takes it."""
        try:
            async with asyncio.timeout(self._bounds.wait_seconds):
                other = await asyncio.shield(end.joined)
        except TimeoutError as error:
            raise _away(end.place.peer) from error
        while True:
            try:
                async with asyncio.timeout(self._bounds.idle_seconds):
                    data = await end.context.read()
            except TimeoutError as error:
                raise _silent(end.party) from error
            if not isinstance(data, bytes):
                await other.waiting.put(None)
                return
            if len(data) > MAX_FRAME:
                raise SecureFlowError(
                    "too_large", Text("{party} sent too long a frame.", party=end.party)
                )
            await other.waiting.put(data)

    async def _write(self, end: _End) -> None:
        """Write to an end what the other one sent."""
        while (data := await end.waiting.get()) is not None:
            try:
                async with asyncio.timeout(self._bounds.idle_seconds):
                    await end.context.write(data)
            except TimeoutError as error:
                raise _silent(end.party) from error
            self.carried += len(data)


def parse_place(data: bytes, party: str) -> PeerPlace:
    """Parse the first message of a stream.

    Raises:
        SecureFlowError: `malformed_json`, `malformed_request`.
    """
    value: Any = parse_json(data, MAX_PLACE)
    if isinstance(value, dict) and value.keys() == {"job", "attempt", "peer"}:
        job, attempt, peer = value["job"], value["attempt"], value["peer"]
        named = isinstance(job, str) and isinstance(peer, str) and peer != party
        if named and type(attempt) is int and 0 < attempt <= MAX_ATTEMPT:
            return PeerPlace(job, attempt, peer)
    raise SecureFlowError(
        "malformed_request", Text("{party} does not say which channel it means.", party=party)
    )


def _replaced(party: str) -> SecureFlowError:
    return SecureFlowError(
        "link_replaced", Text("{party} opened a newer stream for this channel.", party=party)
    )


def _away(party: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_away",
        Text("The agent of {party} has no stream for this channel now.", party=party),
        "The channel goes on once it is back.",
        {"party": party},
    )


def _has_left(party: str) -> SecureFlowError:
    return SecureFlowError(
        LEFT,
        Text("The agent of {party} is no longer in this attempt.", party=party),
        "The next attempt makes a new channel.",
        {"party": party},
    )


def _silent(party: str) -> SecureFlowError:
    return SecureFlowError(
        "link_silent", Text("The stream of {party} stood still for too long.", party=party)
    )


def _expired(party: str) -> SecureFlowError:
    return SecureFlowError(
        "certificate_not_valid_now",
        Text("The certificate of {party} has expired.", party=party),
        "Its agent renews it by itself, and comes again.",
    )
