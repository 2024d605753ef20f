"""A party's end of its link: it dials out, works on requests pushed to it, and reconnects.

`Link.run` keeps one stream open for the life of the process. Handlers run as tasks, one per request
id; they outlive a broken link, and their answers wait for the next one. A request that arrives
again while it is worked on is not started twice; one that was answered is answered again. Both ends
exchange their time when they connect; a refusal caused by a wrong clock names the difference.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import grpc.aio

from secureflow.adapters.link.backoff import JitteredBackoff
from secureflow.adapters.link.blobs import Source, fetch, store
from secureflow.adapters.link.credentials import CredentialFiles, Credentials
from secureflow.adapters.link.messages import (
    LogProgress,
    parse_disabled,
    parse_error,
    parse_revoked,
)
from secureflow.adapters.link.refusals import CallEnd, rpc_errors
from secureflow.adapters.link.streams import Stream
from secureflow.adapters.link.tasks import Handle, RequestTasks
from secureflow.adapters.link.tls import SERVER_NAME, identity, open_channel
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.organisations import shut_out
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, ahead_of, difference, is_news, naming_clocks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.text import Text
from secureflow.wire import Envelope, decode, encode

Hello = Callable[[], dict[str, JSON]]
"""Returns {version, log_size, unproved, address?, key?} as of now."""

_CONNECT: Final = "/secureflow.wire.v1.Link/Connect"
_CALL: Final = "/secureflow.wire.v1.Link/Call"
Recover = Callable[[SecureFlowError], Awaitable[SecureFlowError | None]]
"""Examines why a link failed: returns what is wrong, or None if it was repaired: redial at once."""

_NO_HURRY: Final = {
    "link_replaced",
    "certificate_revoked",
    "certificate_not_valid_now",
    "key_mismatch",
}

SETTLED: Final = 3600.0
"""Seconds for which a fresh certificate is not renewed again, if a wrong clock calls it old."""

_log = get_logger(__name__)


async def _as_it_is(error: SecureFlowError) -> SecureFlowError:
    return error


class Link:
    """A party's link to the centre.

    Args:
        address: `host:port` of the centre.
        credentials: this party's certificate; renewed in place when a third of its lifetime is
            left.
        hello: returns this party's greeting, with its progress in verifying the log.
        handle: answers requests: (verb, body, log_proofs) → body, or raises `SecureFlowError`.
        clock: unix seconds.
        whose: this party's name in errors.
        withdrawn: called with each job whose requests were withdrawn (its tasks are cancelled).
        recover: examines why the link failed, and may repair it.
    """

    def __init__(
        self,
        address: str,
        credentials: CredentialFiles,
        hello: Hello,
        handle: Handle,
        *,
        clock: Clock,
        whose: str = "this party",
        withdrawn: Callable[[str], None] = lambda _: None,
        recover: Recover = _as_it_is,
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._hello = hello
        self._clock = clock
        self._whose = whose
        self._withdrawn = withdrawn
        self._tasks = RequestTasks(
            handle, lambda: LogProgress.parse(hello()), self._explained, clock
        )
        self._channel: grpc.aio.Channel | None = None
        self._dialled: Credentials | None = None
        self._stream: Stream | None = None
        self._backoff = JitteredBackoff()
        self._recover = recover
        self._renewed = False
        self._settled = 0.0
        self._told = self._moves = False
        self._moved = asyncio.Event()
        self.connected = asyncio.Event()
        """Set while the centre has welcomed this party."""
        self.welcomes = 0
        """Number of welcomes so far: a break may be too short to be seen in `connected`."""
        self.trouble: SecureFlowError | None = None
        """Why the link is down now."""
        self.revoked: frozenset[str] = frozenset()
        """SPIFFE ids that the centre has revoked (sent to enclaves), permanently."""
        self.disabled: frozenset[str] = frozenset()
        """Organisations disabled at the centre now (sent to enclaves)."""
        self.clock_ahead: int | None = None
        """Seconds by which this clock was ahead of the centre's when last compared."""

    async def run(self) -> None:
        """Keep the link open until cancelled."""
        try:
            while True:
                try:
                    await self._once()
                except SecureFlowError as error:
                    self._note_trouble(await self._cause(error))
                await self._backoff.wait()
        finally:
            await self._tasks.stop()
            await self._hang_up()

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Send a call to the centre.

        Raises:
            SecureFlowError: the centre's error, or `link_broken`.
        """
        try:
            with rpc_errors("the server"):
                call = self.dial().unary_unary(_CALL, identity, identity)
                reply = decode(await call(encode(Envelope("", kind, body))))
        except SecureFlowError as error:
            self.redial_if_expired(error)
            raise
        if reply.kind != "reply":
            raise parse_error(reply.body.get("error"))
        return reply.body.get("body")

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        """Fetch a blob of at most `size` bytes into a file, resuming an earlier attempt.

        Raises:
            SecureFlowError: `not_found`, `too_large`, `digest_mismatch` (the file is removed), or
                `link_broken` if a working link makes no progress in three attempts.
        """
        await fetch(self, digest, path, size)

    async def store(self, source: Source, digest: str, place: BlobPlace | None = None) -> None:
        """Store a blob: a file, or a buffer (kept unchanged until this returns).

        Raises:
            SecureFlowError: the centre's error, or `link_broken` if a working link fails three
                times.
        """
        await store(self, source, digest, place)

    async def wait_until_connected(self) -> None:
        """Wait until the centre has welcomed this party."""
        await self.connected.wait()

    def refusal_of(self, spiffe: SpiffeId) -> SecureFlowError | None:
        """Return the error if the centre has revoked an agent or disabled its organisation.

        The centre's list only excludes agents; admission takes a certificate.
        """
        if str(spiffe) in self.revoked:
            return SecureFlowError(
                "certificate_revoked",
                Text("{spiffe} has been revoked.", spiffe=spiffe),
                "Enrol again with a new token from the operator.",
            )
        return shut_out(spiffe.organisation) if spiffe.organisation in self.disabled else None

    def _bar(self, body: Mapping[str, JSON]) -> None:
        self.revoked |= parse_revoked(body.get("revoked", []))
        if "disabled" in body:
            self.disabled = parse_disabled(body["disabled"])

    def redial_if_expired(self, error: SecureFlowError) -> None:
        """Redial if the centre calls the certificate of this open link expired.

        Its clock was set, or ours: `recover` renews the certificate, and work continues.
        """
        if error.code == "certificate_not_valid_now" and self._stream is not None:
            self._stream.close(error)

    def compare(self, theirs: JSON) -> None:
        """Compare this clock with the centre's time; log a large difference.

        It is compared at every ping: only changes are logged again.
        """
        ahead, before = ahead_of(theirs, self._clock()), self.clock_ahead
        if ahead is None:
            return
        self.clock_ahead = ahead
        if is_news(ahead, before):
            message = difference(self._whose, ahead)
            _log.warning("clock_differs", message=f"{message} Set the one that is wrong (NTP).")

    async def close(self) -> None:
        """Close a link that was only used for calls and never ran."""
        await self._hang_up()

    async def _cause(self, error: SecureFlowError) -> SecureFlowError | None:
        """Return what is wrong with the link; if finding that out fails, the original error."""
        try:
            return await self._recover(error)
        except SecureFlowError as failure:
            return failure
        except Exception:  # noqa: BLE001  the edge of `recover`: strangers may answer
            _log.exception("look_failed", code=error.code)
            return error

    def _note_trouble(self, error: SecureFlowError | None) -> None:
        """Record why the link is down, and adapt the back-off."""
        if error is None:
            self._backoff.reset()
            return
        self.trouble = error
        _log.warning("link_down", code=error.code, message=error.message, hint=error.hint)
        if error.code in _NO_HURRY:
            self._backoff.exhaust()

    async def _once(self) -> None:
        """Dial, and serve until the link breaks."""
        if self._channel is not None and self._dialled != self._credentials():
            await self._hang_up()  # a call opened it meanwhile, with the previous certificate
        call = self.dial().stream_stream(_CONNECT, identity, identity)()
        stream = Stream(call, self._receive, clock=self._clock, compare=self.compare)
        self._stream = stream
        try:
            with rpc_errors("the server"):
                async with CallEnd(call).kept():
                    await self._greet(stream)
                    async with self._attended(stream):
                        await stream.run()
        finally:
            self._stream = None
            self.connected.clear()
            call.cancel()
            await self._hang_up()
        if not self._renewed:
            raise SecureFlowError("link_broken", "The server ended the link.")
        self._renewed = False

    async def _greet(self, stream: Stream) -> None:
        greeting = {"time": self._clock(), "roots": self._credentials.told(), **self._hello()}
        await stream.write(Envelope("", "hello", greeting))
        welcome = await stream.read()
        if welcome is not None and welcome.kind == "welcome":
            self._bar(welcome.body)
            self._backoff.reset()
            self.trouble = None
            self.compare(welcome.body.get("time"))
            self._follow(welcome.body.get("roots"))
            self.welcomes += 1
            self.connected.set()

    def _follow(self, said: JSON) -> None:
        """Follow the centre's roots; what is not vouched for changes nothing here."""
        try:
            self._told, self._moves = self._credentials.follow(said)
        except SecureFlowError as error:
            _log.error("ca_refused", code=error.code, message=error.message, hint=error.hint)
        if self._told or self._moves:
            self._moved.set()

    def _explained(self, error: SecureFlowError) -> SecureFlowError:
        return naming_clocks(error, self._whose, self.clock_ahead)

    @contextlib.asynccontextmanager
    async def _attended(self, stream: Stream) -> AsyncIterator[None]:
        """Answer over this stream, report progress on it, and keep the certificate current."""
        self._tasks.attach(stream)
        tasks = [
            asyncio.create_task(self._tasks.show_progress()),
            asyncio.create_task(self._keep_certificate(stream)),
        ]
        try:
            yield
        finally:
            self._tasks.detach()
            for task in tasks:
                task.cancel()

    def forget_answers(self, job: str) -> None:
        """Send no earlier answer of a job again: whoever asks again gets what holds now."""
        self._tasks.forget_answers(job)

    def _receive(self, envelope: Envelope) -> None:
        if envelope.kind == "request":
            self._tasks.take(envelope)
        elif envelope.kind == "withdraw":
            job = str(envelope.body.get("job", ""))
            self._tasks.withdraw(job)
            self._withdrawn(job)
        elif envelope.kind == "revoked":
            self._bar(envelope.body)
        elif envelope.kind == "roots":
            self._follow(envelope.body.get("roots"))
        else:
            raise SecureFlowError(
                "unknown_kind", Text("The server sent an unknown '{kind}'.", kind=envelope.kind)
            )

    async def _keep_certificate(self, stream: Stream) -> None:
        """Renew while the old certificate is still valid, then redial with the new one."""
        while True:
            now = asyncio.get_running_loop().time()
            try:
                due = now >= self._settled and self._credentials().due(self._clock())
                if due or self._moves:
                    self._moves = False
                    await self._renew()
                    self._renewed, self._settled = True, now + SETTLED
                    stream.close()
                elif self._told:  # link up again, and say which roots are pinned now
                    self._told, self._renewed = False, True
                    stream.close()
            except SecureFlowError as error:
                _log.warning("certificate_not_renewed", code=error.code, message=error.message)
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(60.0):
                    await self._moved.wait()

    async def _renew(self) -> None:
        csr = self._credentials.request()
        reply = await self.call("certificate.renew", {"csr": csr})
        chain = reply.get("certificate") if isinstance(reply, dict) else None
        self._credentials.install(str(chain), self._clock())
        _log.info("certificate_renewed")

    def dial(self) -> grpc.aio.Channel:
        """Return the channel of this link, dialling if there is none."""
        if self._channel is None:
            self._dialled = self._credentials()
            self._channel = open_channel(self._address, self._dialled, SERVER_NAME)
        return self._channel

    async def _hang_up(self) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()
