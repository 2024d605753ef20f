"""The centre's end of every link: pushes requests to parties, answers their calls, moves blobs.

Parties dial in; the newest stream of a party wins. A request is written to the party's stream at
once, and again after each reconnect until it is answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import grpc
import grpc.aio

from secureflow.adapters.link.callbacks import Callbacks
from secureflow.adapters.link.credentials import Credentials
from secureflow.adapters.link.data import DataService
from secureflow.adapters.link.identity import Context, Gate, PeerIdentity
from secureflow.adapters.link.messages import (
    LogProgress,
    answer,
    failure,
    parse_failure,
    parse_reply,
)
from secureflow.adapters.link.refusals import refuse
from secureflow.adapters.link.relay import Relay
from secureflow.adapters.link.replacements import Replacements
from secureflow.adapters.link.requests import OpenRequests, silent
from secureflow.adapters.link.streams import Stream
from secureflow.adapters.link.tls import DEFAULT, Bounds, identity, listen, new_server
from secureflow.adapters.link.waits import claim
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.courier import PartyStatus, Request
from secureflow.application.running.waiting import WaitObserver
from secureflow.application.throttle import Throttle
from secureflow.domain.clocks import naming
from secureflow.domain.organisations import shut_out
from secureflow.domain.partyengines import announced
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, ahead_of, difference, is_news
from secureflow.kit.disk import WAITED_FOR, exhausted
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.logging import get_logger
from secureflow.kit.logthrottle import ThrottledLog
from secureflow.kit.plain import shown
from secureflow.kit.text import Text
from secureflow.wire import PARTY_DEPTH, Envelope, decode, encode

_TOLD = ("version", "tee", "measurement")

MESSAGES_PER_SECOND: Final = 200.0
"""Messages of one organisation; a job needs a few per round, plus a ping every five seconds."""
MESSAGES_AT_ONCE: Final = 2000
_SHORT: Final = 2000
"""Characters of a failure's texts, where it is too large with its details."""
UNIT: Final = 64 * 1024
"""This many bytes of a message count as one more message."""

_log = get_logger(__name__)


class LinkServer:
    """Implements the `Courier` port and serves `Link` and `Data`.

    Args:
        bind: `host:port`; port 0 picks a free one.
        credentials: returns the newest credentials.
        trust_domain: the SPIFFE trust domain of every peer.
        callbacks: the application's decisions.
        artifacts: the blobs behind `Data`.
        clock: unix seconds.
        version: sent to parties in the welcome.
        bounds: limits for strangers.
        on_wait: called when the party of a request begins and stops to wait for room.
    """

    def __init__(
        self,
        bind: str,
        credentials: Callable[[], Credentials],
        trust_domain: str,
        callbacks: Callbacks,
        artifacts: Artifacts,
        *,
        clock: Clock,
        version: str = "",
        bounds: Bounds = DEFAULT,
        on_wait: WaitObserver = lambda _request, _error: None,
        roots: Mapping[str, JSON] | None = None,
    ) -> None:
        self._bind = bind
        self._credentials = credentials
        self._callbacks = callbacks
        self._clock = clock
        self._greeting: dict[str, JSON] = {"version": version}
        if roots is not None:
            self._greeting["roots"] = dict(roots)
        self._bounds = bounds
        by = lambda: credentials().intermediate  # noqa: E731
        self._gate = Gate(trust_domain, callbacks.authorise, clock, by)
        self._data = DataService(self._gate, artifacts, callbacks.may_read, callbacks.may_write)
        self._relay = Relay(self._gate, callbacks.may_join)
        self._requests = OpenRequests(self._deliver, on_wait)
        self._streams: dict[str, Stream] = {}
        self._parties: dict[str, PartyStatus] = {}
        self._standings: dict[str, LogProgress] = {}
        self._pushes: set[asyncio.Task[None]] = set()
        self._gone: set[str] = set()
        self._expected: set[str] = set()
        self._enclaves: set[str] = set()
        self._disabled: frozenset[str] = frozenset()
        self._expelled: dict[str, SecureFlowError] = {}
        self._replacements, self._faults = Replacements(), ThrottledLog(_log)
        self._pace = Throttle(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE, time.monotonic)
        self._server: grpc.aio.Server | None = None

    def tell_roots(self, roots: Mapping[str, JSON]) -> None:
        """Tell the centre's roots to whoever is linked, and links up: they pin what is new."""
        self._greeting["roots"] = dict(roots)
        for stream in self._streams.values():
            stream.send(Envelope("", "roots", {"roots": dict(roots)}))

    async def start(self) -> int:
        """Listen and return the port.

        Raises:
            SecureFlowError: `address_unavailable`.
        """
        server = new_server(self._bounds)
        rpc = grpc.method_handlers_generic_handler(
            "secureflow.wire.v1.Link",
            {
                "Connect": grpc.stream_stream_rpc_method_handler(self._connect, identity, identity),
                "Call": grpc.unary_unary_rpc_method_handler(self._call, identity, identity),
            },
        )
        server.add_generic_rpc_handlers((rpc, self._data.rpc(), self._relay.rpc()))
        port = listen(server, self._bind, self._credentials)
        await server.start()
        self._server = server
        return port

    async def stop(self, grace: float = 1.0) -> None:
        """Close every stream and stop listening."""
        for party in list(self._streams):
            self.disconnect(party, SecureFlowError("server_stopping", "The server is stopping."))
        self._relay.stop()
        if self._server is not None:
            await self._server.stop(grace)
        for task in self._pushes:
            task.cancel()

    async def ask(self, request: Request) -> JSON:
        """Deliver (again after a reconnect) until answered; see `ports.Courier`.

        A party that exceeded a patience and has not dialled in since is not waited for again:
        otherwise one that is gone for good would cost every round the whole patience. One that is
        disabled is not waited for at all.
        """
        if request.party in self._disabled:
            raise shut_out(request.party)
        if request.patience is not None and request.party in self._gone:
            raise await self._absent(silent(request), request.party)
        try:
            return await self._requests.ask(request)
        except SecureFlowError as error:
            stream = self._streams.get(request.party)
            if error.code == "party_silent" and stream is None:
                self._gone.add(request.party)
                raise await self._absent(error, request.party) from None
            if error.code in WAITED_FOR and stream is not None:
                # Otherwise it would run once there is room, though nobody waits for it any more.
                stream.send(Envelope("", "withdraw", {"job": request.id.partition("/")[0]}))
            raise

    async def _absent(self, error: SecureFlowError, party: str) -> SecureFlowError:
        """Name the clocks if a party is silent because of its certificate."""
        problem = await self._callbacks.certificate_problem(party)
        if not problem:
            return error
        hint = Text(
            "{hint} If it runs, compare its clock with the centre's (NTP).", hint=error.hint
        )
        return SecureFlowError(
            error.code,
            Text("{message} {lapsed}", message=error.message, lapsed=problem),
            hint,
            error.details,
        )

    def expect(self, party: str) -> None:
        """Wait again for a party that the centre itself had refused: it has a new certificate now.

        Only once until it connects: renewing certificates without using them must not delay jobs
        forever.
        """
        if party not in self._streams and party not in self._expected:
            self._expected.add(party)
            self._gone.discard(party)
            self._requests.of_party(party)

    def status(self, party: str) -> PartyStatus:
        """Return the party's link status; an unknown party is not connected."""
        known = self._parties.get(party, PartyStatus(party, connected=False, last_progress=0.0))
        return replace(known, replaced=self._replacements.count(party))

    def note_engines(self, party: str, engines: dict[str, str]) -> None:
        """See `ports.Courier`."""
        if (known := self._parties.get(party)) is not None:
            self._parties[party] = replace(known, engines=engines)

    @property
    def connected(self) -> int:
        """How many parties have an open link."""
        return len(self._streams)

    async def withdraw(self, job: str) -> None:
        """End the job's open requests and tell their parties to stop."""
        for party in self._requests.withdraw(job):
            if stream := self._streams.get(party):
                stream.send(Envelope("", "withdraw", {"job": job}))

    def disconnect(self, party: str, reason: SecureFlowError) -> None:
        """Close the party's stream (revocation); its `Link` gets the reason."""
        if stream := self._streams.get(party):
            stream.close(reason)

    def left(self, job: str, attempt: int, party: str) -> None:
        """Take down that an organisation is no longer in an attempt: nobody waits for it there."""
        self._relay.left(job, attempt, party)

    def expel(self, party: str, spiffe: str, reason: SecureFlowError) -> None:
        """Cut off a revoked party, and tell enclaves to refuse it as well."""
        self._expelled[spiffe] = reason  # it may be connecting now; identities are never reused
        self.disconnect(party, reason)
        self._relay.cut(party, reason)
        self._notify_enclaves({"revoked": [spiffe]})

    def shut_out(self, organisations: Iterable[str]) -> None:
        """Shut out the organisations that are disabled now, and admit all others.

        Their links are cut, their open requests end with that reason, and enclaves, which admit
        peers themselves, are told.
        """
        self._disabled = frozenset(organisations)
        for party in sorted(self._disabled):
            reason = shut_out(party)
            self.disconnect(party, reason)
            self._relay.cut(party, reason)
            for request in self._requests.of_party(party):
                self._requests.fail(request.id, party, reason)
        self._notify_enclaves({"disabled": sorted(self._disabled)})

    def _notify_enclaves(self, who: dict[str, JSON]) -> None:
        for enclave in self._enclaves:
            if stream := self._streams.get(enclave):
                stream.send(Envelope("", "revoked", {"revoked": [], **who}))

    async def _call(self, data: bytes, context: Context) -> bytes:
        peer = await self._gate.admit(context)
        try:
            envelope = decode(data, PARTY_DEPTH)
            body = await self._callbacks.call(peer, envelope.kind, envelope.body)
            return encode(answer("", body))
        except SecureFlowError as error:
            return _refusal(error)
        except Exception as error:  # noqa: BLE001  the edge of a call: a bug must not cut the link
            _log.exception("call_failed", party=peer.party)
            defect = SecureFlowError(
                "internal", "The server had an internal error; its log has the trace."
            )
            return encode(failure("", exhausted(error, "The centre") or defect))

    async def _connect(self, _: Any, context: Context) -> None:
        peer = await self._gate.admit(context)
        pace = self._pace if peer.spiffe.role == "agent" else None
        stream = Stream(
            context,
            lambda envelope: self._receive(peer.party, envelope),
            lambda size: pace.pace(peer.party, 1 + size / UNIT) if pace else 0.0,
            clock=self._clock,
            compare=lambda theirs: self._compare(peer.party, theirs),
            depth=PARTY_DEPTH,
        )
        try:
            await self._welcome(peer, stream)
            expired = SecureFlowError(
                "certificate_not_valid_now",
                "Your certificate has expired.",
                "An agent renews it by itself; if it does not: secureflow agent doctor.",
            )
            timer = asyncio.get_running_loop().call_later(
                self._gate.seconds_left(context) + 1, stream.close, expired
            )
            try:
                await stream.run()
            finally:
                timer.cancel()
        except SecureFlowError as error:
            _log.info("link_closed", party=peer.party, code=error.code)
            await refuse(context, error)
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self._gate.refuse_fault(context, error)
        finally:
            self._forget(peer.party, stream)

    async def _welcome(self, peer: PeerIdentity, stream: Stream) -> None:
        hello = await stream.read()
        if hello is None or hello.kind != "hello":
            raise SecureFlowError(
                "hello_missing", Text("{party} did not start with a hello.", party=peer.party)
            )
        standing, address = LogProgress.parse(hello.body), hello.body.get("address", "")
        if address != "":
            address = str(
                parse_address(address, Text("The uplink address of {party}", party=peer.party))
            )
        disabled = self._disabled
        await self._callbacks.on_hello(peer, hello.body)
        revoked = await self._revoked() if peer.spiffe.role == "enclave" else []
        self._let_in(peer, disabled)
        if peer.party in self._streams:
            times = self._replacements.note(peer.party)
            self._faults.note("link_replaced", party=peer.party, times=times)
        self.disconnect(
            peer.party,
            SecureFlowError(
                "link_replaced",
                Text("{party} opened a newer link.", party=peer.party),
                "Run one process per party: look for a second one with the same credentials.",
            ),
        )
        self._streams[peer.party] = stream
        self._gone.discard(peer.party)
        self._expected.discard(peer.party)
        self._standings[peer.party] = standing
        texts = {name: shown(str(hello.body.get(name, ""))[:96]) for name in _TOLD}
        self._parties[peer.party] = PartyStatus(
            peer.party, True, float(self._clock()), log_size=standing.log_size,
            version=texts["version"][:64], address=address,
            tee=texts["tee"][:16], measurement=texts["measurement"],
            clock_ahead=self._compared(peer.party, hello.body.get("time")),
            engines=announced(hello.body.get("engines")), since=self._clock(),
        )  # fmt: skip
        greeting = {**self._greeting, "time": self._clock()}
        if peer.spiffe.role == "enclave":
            self._enclaves.add(peer.party)
            greeting |= {"revoked": revoked, "disabled": sorted(self._disabled)}
        # No `await` since the stream was registered: its first message must be the welcome.
        stream.send(Envelope("", "welcome", greeting))
        self._callbacks.on_link(peer.party, True)
        for request in self._requests.of_party(peer.party):
            self._deliver(request)

    async def _revoked(self) -> list[JSON]:
        """List who is revoked; again if somebody was revoked meanwhile, who may be missing."""
        while True:
            before = len(self._expelled)
            revoked = list(await self._callbacks.revoked())
            if len(self._expelled) == before:
                return [*revoked]

    def _let_in(self, peer: PeerIdentity, before: frozenset[str]) -> None:
        """Forget that a party was disabled: by the record, read since, it is admitted again.

        Who was shut out while the record was read stays out.
        """
        if (reason := self._expelled.get(str(peer.spiffe))) is not None:
            raise reason
        if peer.party not in self._disabled:
            return
        if self._disabled is not before:
            raise shut_out(peer.party)
        self.shut_out(self._disabled - {peer.party})

    def _compared(self, party: str, theirs: JSON, before: int | None = None) -> int | None:
        """Return by how much a party's clock is ahead; changes are logged."""
        behind = ahead_of(theirs, self._clock())
        if behind is None:
            return None
        ahead = -behind
        if is_news(ahead, before):
            message = f"{difference(party, ahead)} Set the one that is wrong (NTP)."
            _log.warning("clock_differs", party=party, message=message)
        return ahead

    def _compare(self, party: str, theirs: JSON) -> None:
        """Compare clocks again at a ping: they may be set while a link is up."""
        status = self._parties[party]
        ahead = self._compared(party, theirs, status.clock_ahead)
        if ahead is not None:
            self._parties[party] = replace(status, clock_ahead=ahead)

    def _forget(self, party: str, stream: Stream) -> None:
        if self._streams.get(party) is stream:
            del self._streams[party]
            self._parties[party] = replace(
                self._parties[party], connected=False, gone=self._clock()
            )
            self._callbacks.on_link(party, False)

    def _deliver(self, request: Request) -> None:
        if stream := self._streams.get(request.party):
            task = asyncio.create_task(self._push(stream, request))
            self._pushes.add(task)
            task.add_done_callback(self._pushes.discard)

    async def _push(self, stream: Stream, request: Request) -> None:
        body: dict[str, JSON] = {"verb": request.verb, "body": request.body}
        try:
            standing = self._standings[request.party]
            log_proofs = await self._callbacks.log_proofs(request.party, request.body, standing)
            if log_proofs is not None:
                body["rider"] = log_proofs
            # In a thread: it may be long, and every party gets one at the same time.
            data = await asyncio.to_thread(encode, Envelope(request.id, "request", body))
            if self._requests.waits_for(request):  # otherwise it was withdrawn meanwhile
                stream.send_encoded(data)
        except SecureFlowError as error:
            self._requests.fail(request.id, request.party, error)
        except Exception:  # noqa: BLE001  the edge of a delivery: the caller must get the error
            _log.exception("delivery_failed", party=request.party, request=request.id)
            hint = "The server's log has the trace."
            defect = SecureFlowError(
                "internal", Text("{id} could not be delivered.", id=request.id), hint
            )
            self._requests.fail(request.id, request.party, defect)

    def _receive(self, party: str, envelope: Envelope) -> None:
        if envelope.kind == "progress":
            waiting = claim(party, envelope.body)
            named = None if waiting is None else self._naming_clocks(party, waiting)
            self._requests.progress(envelope.id, party, named)
        elif envelope.kind == "reply":
            body, standing = parse_reply(envelope.body)
            self._record_progress(party, standing)
            self._requests.answer(envelope.id, party, body)
        elif envelope.kind == "failure":
            error, standing = parse_failure(envelope.body)
            self._compare(party, envelope.body.get("time"))
            self._record_progress(party, standing)
            self._requests.fail(envelope.id, party, self._naming_clocks(party, error))
        else:
            raise SecureFlowError(
                "unknown_kind",
                Text("{party} sent an unknown '{kind}'.", party=party, kind=envelope.kind),
            )

    def _naming_clocks(self, party: str, error: SecureFlowError) -> SecureFlowError:
        """Return a party's error, with its clock or the enclaves' if these may have caused it."""
        clocks = {one: self.status(one).clock_ahead for one in (party, *self._enclaves)}
        return naming(error, clocks)

    def _record_progress(self, party: str, standing: LogProgress) -> None:
        self._standings[party] = standing
        self._parties[party] = replace(
            self._parties[party],
            last_progress=float(self._clock()),
            log_size=standing.log_size,
        )


def _refusal(error: SecureFlowError) -> bytes:
    """Return the failure of a call; without its details where it cannot be sent with them."""
    try:
        return encode(failure("", error))
    except SecureFlowError:
        message, hint = (shown(text[:_SHORT]) for text in (error.message, error.hint))
        return encode(failure("", SecureFlowError(error.code, message, hint)))
