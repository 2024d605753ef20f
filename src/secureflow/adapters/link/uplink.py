"""The uplink: sealed updates go directly to the enclave, where TLS ends.

`Offer` asks where to begin: an update that was accepted before is answered with its receipt, an
interrupted one continues at the next chunk. `Send` carries the start index and the header, then
chunks, then the trailer. An update is protected by its seal, not by this connection. A dead
connection is detected by its keepalive, and the upload continues over a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, Protocol

import grpc
import grpc.aio

from secureflow.adapters.link.backoff import JitteredBackoff
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
from secureflow.adapters.link.waits import NOT_VALID_NOW, waits_for_clock, waits_no_more
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json, sha256
from secureflow.kit.clock import CHECK_INTERVAL, Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import SpiffeId
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy, which a centre does without until a job runs
    from secureflow.engines.sealing import SealedUpdate

MAX_OFFER: Final = 4096
MAX_START: Final = 1 << 20
_OFFER: Final = "/secureflow.wire.v1.Uplink/Offer"
_SEND: Final = "/secureflow.wire.v1.Uplink/Send"
MAX_CHANNELS: Final = 16
"""Maximum open connections: addresses come from the centre, which must not fill the table."""
RENEWAL_LOOKS: Final = 60
"""Checks, a quarter of a second apart, whether a refused certificate has been renewed."""
_TRIES: Final = 4
LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts."""
_AGAIN: Final = {"link_broken", "upload_stalled", "internal"}

_log = get_logger(__name__)


class UplinkHandler(Protocol):
    """The enclave's handler of uploads; refuses by raising `SecureFlowError`."""

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
        credentials: returns the newest credentials valid now.
        trust_domain: the SPIFFE trust domain of every peer.
        handler: opens and folds updates.
        clock: unix seconds.
        bounds: limits for strangers.
        refusal_of: returns why an agent may not upload now, as far as is known here.
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
        by = lambda: credentials().intermediate  # noqa: E731
        self._gate = Gate(trust_domain, self._authorise, clock, by, whose="The enclave")
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
        """Stop listening and cut open uploads."""
        if self._server is not None:
            await self._server.stop(grace)

    async def _authorise(self, spiffe: SpiffeId, serial: str) -> PeerIdentity:
        """Admit every agent that is not shut out; the signed spec defines who may send what."""
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
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self._gate.refuse_fault(context, error)

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
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self._gate.refuse_fault(context, error)

    async def _while_admitted(
        self, peer: PeerIdentity, messages: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Pass messages on; an agent that is shut out meanwhile contributes nothing."""
        async for message in messages:
            if (refusal := self._refusal_of(peer.spiffe)) is not None:
                raise refusal
            yield message


class Uplink:
    """A party's connection to enclaves; one per address is kept open between rounds.

    Args:
        credentials: returns the newest credentials valid now.
        on_expired: called if the enclave calls them expired; may have them renewed.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        on_expired: Callable[[SecureFlowError], None] = lambda _: None,
    ) -> None:
        self._credentials = credentials
        self._on_expired = on_expired
        self._channels: dict[str, tuple[Credentials, grpc.aio.Channel]] = {}
        self._failing: dict[str, JitteredBackoff] = {}

    async def send(self, address: str, update: SealedUpdate, commitment: str) -> dict[str, JSON]:
        """Send an update and return the enclave's receipt.

        Resumes at the next chunk after a break; gives up after several attempts without progress.
        The pauses between them keep growing from one update to the next until one arrives: each
        time an upload fails, all parties re-admit the enclave, which a job allows only a few times.

        A certificate that is not valid by the enclave's clock or this machine's is renewed, or else
        waited with until the wrong clock is set: the centre knows the wait, and ends it by
        withdrawing the request.

        Args:
            address: `host:port` of the enclave.
            update: sealed to the enclave's attested key.
            commitment: hex salted digest of the plaintext, as in the party's ledger leaf.

        Raises:
            SecureFlowError: the enclave's error, `invalid_address`, or `link_broken` with a text
                that reveals nothing about this party's network.
        """
        upload = _Upload(update, commitment)
        checked = False
        while True:
            try:
                with rpc_errors("the enclave"):
                    receipt = await upload.try_once(await self._channel(address))
                self._failing.pop(address, None)
                waits_no_more()
                return receipt
            except SecureFlowError as error:
                if error.code == NOT_VALID_NOW:
                    upload.fruitless = 0
                    waits_for_clock(error)
                    if not checked and await self._renewed(error):
                        checked = True
                        continue
                    checked = True
                elif error.code not in _AGAIN or upload.fruitless >= _TRIES:
                    raise _unreachable(error, address) from error
                else:
                    waits_no_more()
            await self._pauses(address).wait()

    def _pauses(self, address: str) -> JitteredBackoff:
        if address not in self._failing and len(self._failing) >= MAX_CHANNELS:
            del self._failing[next(iter(self._failing))]
        return self._failing.setdefault(address, JitteredBackoff(LONGEST_PAUSE))

    async def _renewed(self, error: SecureFlowError) -> bool:
        """Check a certificate that the enclave calls expired; tell whether it was renewed."""
        before = self._credentials()
        self._on_expired(error)
        for _ in range(RENEWAL_LOOKS):
            if self._credentials() != before:
                return True
            await asyncio.sleep(CHECK_INTERVAL / 4)
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
    """One upload and its progress."""

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
        """Attempts in a row without progress."""

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
    """Keep the transport's message local: it would let the centre scan this network."""
    if error.code != "link_broken":
        return error
    _log.warning("uplink_broken", address=address, message=error.message, **error.details)
    return SecureFlowError(
        "link_broken",
        "The enclave cannot be reached at the address that the centre gives.",
        "The reason is in this agent's own log.",
    )
