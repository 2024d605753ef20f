"""The uplink: sealed updates go straight to the enclave, where TLS ends.

`Offer` asks where to begin: an update that was accepted before is answered with its receipt, one
that broke off goes on at the next chunk. `Send` carries the start index and the header, then
chunks, then the trailer. What protects an update is its seal, not this pipe. A connection over
which nobody answers any more is given up by its keepalive, and the upload goes on over a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import grpc
import grpc.aio

from secureflow.adapters.link.backoff import Backoff
from secureflow.adapters.link.credentials import Credentials
from secureflow.adapters.link.identity import Context, Gate, PeerIdentity
from secureflow.adapters.link.refusals import refuse, rpc_errors
from secureflow.adapters.link.tls import (
    DEFAULT,
    ENCLAVE_NAME,
    KEEPALIVE,
    Bounds,
    identity,
    listen,
    new_server,
    open_channel,
)
from secureflow.engines.sealing import SealedUpdate
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json, sha256
from secureflow.kit.clock import LOOK, Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import SpiffeId
from secureflow.kit.text import Text

MAX_OFFER: Final = 4096
MAX_START: Final = 1 << 20
_OFFER: Final = "/secureflow.wire.v1.Uplink/Offer"
_SEND: Final = "/secureflow.wire.v1.Uplink/Send"
MAX_CHANNELS: Final = 16
"""Addresses that stay connected: the centre names them, so it must not fill the table."""
RENEWAL_LOOKS: Final = 60
"""Looks, a quarter of a second apart, whether a certificate that was refused has been renewed."""
_TRIES: Final = 4
LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries."""
_AGAIN: Final = {"link_broken", "upload_stalled"}

_log = get_logger(__name__)


class UplinkHandler(Protocol):
    """What the enclave does with uploads; refuses by raising `SecureFlowError`."""

    async def offer(self, peer: PeerIdentity, offer: dict[str, JSON]) -> dict[str, JSON]:
        """Answer {state, next, receipt?} to {job, round, stage, party, update, header}."""

    async def receive(
        self, peer: PeerIdentity, start: int, header: bytes, messages: AsyncIterator[bytes]
    ) -> dict[str, JSON]:
        """Read chunks from index `start` on and the trailer; return the receipt."""


class UplinkServer:
    """Serves `Uplink` inside the enclave.

    Args:
        bind: `host:port`; port 0 picks a free one.
        credentials: returns the newest credentials that hold now.
        trust_domain: the SPIFFE trust domain of every peer.
        handler: opens and folds.
        clock: unix seconds.
        bounds: what strangers may take up.
        refusal_of: returns why an agent may not upload now, as far as it is known here.
    """

    def __init__(
        self,
        bind: str,
        credentials: Callable[[], Credentials],
        trust_domain: str,
        handler: UplinkHandler,
        *,
        clock: Clock,
        bounds: Bounds = DEFAULT,
        refusal_of: Callable[[SpiffeId], SecureFlowError | None] = lambda _: None,
    ) -> None:
        self._bind = bind
        self._credentials = credentials
        self._handler = handler
        self._bounds = bounds
        self._refusal_of = refusal_of
        self._gate = Gate(trust_domain, self._authorise, clock)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen and return the port.

        Raises:
            SecureFlowError: `address_unavailable`.
        """
        server = new_server(self._bounds)
        rpc = grpc.method_handlers_generic_handler(
            "secureflow.wire.v1.Uplink",
            {
                "Offer": grpc.unary_unary_rpc_method_handler(self._offer, identity, identity),
                "Send": grpc.stream_unary_rpc_method_handler(self._send, identity, identity),
            },
        )
        server.add_generic_rpc_handlers((rpc,))
        port = listen(server, self._bind, self._credentials)
        await server.start()
        self._server = server
        return port

    async def stop(self, grace: float = 1.0) -> None:
        """Stop listening and cut what is under way."""
        if self._server is not None:
            await self._server.stop(grace)

    async def _authorise(self, spiffe: SpiffeId, serial: str) -> PeerIdentity:
        """Admit every agent that is not shut out: the signed spec decides who may send what."""
        if spiffe.role != "agent":
            raise SecureFlowError(
                "forbidden", Text("{spiffe} is not an agent: only agents upload.", spiffe=spiffe)
            )
        if (refusal := self._refusal_of(spiffe)) is not None:
            raise refusal
        return PeerIdentity(spiffe.organisation, spiffe, serial)

    async def _offer(self, data: bytes, context: Context) -> bytes:
        peer = await self._gate.admit(context)
        try:
            offer = parse_json(data, MAX_OFFER)
            if not isinstance(offer, dict):
                raise SecureFlowError("malformed_offer", "The offer must be a JSON object.")
            return canonical_bytes(await self._handler.offer(peer, offer))
        except SecureFlowError as error:
            await refuse(context, error)

    async def _send(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        peer = await self._gate.admit(context)
        try:
            first = await anext(messages, b"")
            start = int.from_bytes(first[:4], "big")
            if len(first) < 5 or start > MAX_START:
                raise SecureFlowError("malformed_offer", "The upload does not begin with a header.")
            coming = self._while_admitted(peer, messages)
            receipt = await self._handler.receive(peer, start, first[4:], coming)
            return canonical_bytes(receipt)
        except SecureFlowError as error:
            await refuse(context, error)

    async def _while_admitted(
        self, peer: PeerIdentity, messages: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Pass messages on; who is shut out while they come contributes nothing."""
        async for message in messages:
            if (refusal := self._refusal_of(peer.spiffe)) is not None:
                raise refusal
            yield message


class Uplink:
    """A party's way to enclaves; one connection per address is kept open between rounds.

    Args:
        credentials: returns the newest credentials that hold now.
        doubt: told that the enclave calls them run out; may have them renewed.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        doubt: Callable[[SecureFlowError], None] = lambda _: None,
    ) -> None:
        self._credentials = credentials
        self._doubt = doubt
        self._channels: dict[str, tuple[Credentials, grpc.aio.Channel]] = {}
        self._failing: dict[str, Backoff] = {}

    async def send(self, address: str, update: SealedUpdate, commitment: str) -> dict[str, JSON]:
        """Send an update and return the enclave's receipt.

        Goes on at the next chunk after a break; gives up after several tries without progress. The
        pauses between them go on growing from one update to the next until one arrives: each time
        that it gives up, everybody admits the enclave anew, which a job allows some times only.

        Args:
            address: `host:port` of the enclave.
            update: sealed to the enclave's attested key.
            commitment: hex salted digest of the plaintext, as the party's ledger leaf says it.

        Raises:
            SecureFlowError: the enclave's refusal, `invalid_address`, or `link_broken` in words
                that tell nothing of this party's network.
        """
        upload = _Upload(update, commitment)
        doubted = False
        while True:
            try:
                with rpc_errors("the enclave"):
                    receipt = await upload.try_once(await self._channel(address))
                self._failing.pop(address, None)
                return receipt
            except SecureFlowError as error:
                if error.code == "certificate_not_valid_now" and not doubted:
                    doubted = True
                    if await self._renewed(error):
                        continue
                if error.code not in _AGAIN or upload.fruitless >= _TRIES:
                    raise _unreachable(error, address) from error
            await self._pauses(address).wait()

    def _pauses(self, address: str) -> Backoff:
        if address not in self._failing and len(self._failing) >= MAX_CHANNELS:
            del self._failing[next(iter(self._failing))]
        return self._failing.setdefault(address, Backoff(LONGEST_PAUSE))

    async def _renewed(self, error: SecureFlowError) -> bool:
        """Have the certificate looked at that the enclave calls run out; tell whether it is new."""
        before = self._credentials()
        self._doubt(error)
        for _ in range(RENEWAL_LOOKS):
            if self._credentials() != before:
                return True
            await asyncio.sleep(LOOK / 4)
        return False

    async def close(self) -> None:
        """Close every connection."""
        channels, self._channels = self._channels, {}
        for _, channel in channels.values():
            await channel.close()

    async def _channel(self, address: str) -> grpc.aio.Channel:
        credentials = self._credentials()
        known = self._channels.get(address)
        if known is not None and known[0] == credentials:
            return known[1]
        if known is not None:
            await known[1].close()
        elif len(self._channels) >= MAX_CHANNELS:
            _, oldest = self._channels.pop(next(iter(self._channels)))
            await oldest.close()
        channel = open_channel(address, credentials, ENCLAVE_NAME, keepalive=KEEPALIVE)
        self._channels[address] = (credentials, channel)
        return channel


class _Upload:
    """One update on its way, and how far it came."""

    def __init__(self, update: SealedUpdate, commitment: str) -> None:
        self._update = update
        self._offer = canonical_bytes(
            {
                **{name: getattr(update.header.binding, name) for name in _NAMES},
                "update": commitment,
                "header": sha256(update.header_bytes).hex(),
            }
        )
        self._made = 0
        self._reached = -1
        self._defect: SecureFlowError | None = None
        self.fruitless = 0
        """Tries in a row that began no further than the one before."""

    async def try_once(self, channel: grpc.aio.Channel) -> dict[str, JSON]:
        """Offer, send what is missing, and return the receipt."""
        self.fruitless += 1
        ask = channel.unary_unary(_OFFER, identity, identity)
        answer = _parse(await ask(self._offer))
        if answer.get("state") == "accepted":
            return dict(answer["receipt"])
        start = min(int(answer.get("next", 0)), self._made)
        if start > self._reached:
            self.fruitless, self._reached = 1, start
        try:
            return _parse(await channel.stream_unary(_SEND, identity, identity)(self._from(start)))
        except asyncio.CancelledError:
            if self._defect is not None:  # how gRPC reports a failing request iterator
                raise self._defect from None
            raise

    async def _from(self, start: int) -> AsyncIterator[bytes]:
        try:
            yield start.to_bytes(4, "big") + self._update.header_bytes
            for index, chunk in enumerate(self._update.chunks(start), start):
                self._made = max(self._made, index + 1)
                yield chunk
            yield self._update.trailer()
        except SecureFlowError as error:
            self._defect = error
            raise


_NAMES: Final = ("job", "round", "stage", "party")


def _parse(data: bytes) -> dict[str, JSON]:
    value = parse_json(data, 1 << 16)
    if not isinstance(value, dict):
        raise SecureFlowError("malformed_receipt", "The enclave's answer is not a JSON object.")
    return value


def _unreachable(error: SecureFlowError, address: str) -> SecureFlowError:
    """Keep the transport's words here: told to the centre, they would scan this network for it."""
    if error.code != "link_broken":
        return error
    _log.warning("uplink_broken", address=address, message=error.message, **error.details)
    return SecureFlowError(
        "link_broken",
        "The enclave cannot be reached at the address that the centre gives.",
        "The reason is in this agent's own log.",
    )
