"""Links over real mTLS on loopback: an authority, a centre, parties, and a proxy that cuts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from secureflow.adapters.artifacts import FileArtifacts
from secureflow.adapters.link import (
    ENCLAVE_NAME,
    SERVER_NAME,
    CredentialFiles,
    Link,
    LogProgress,
    PeerIdentity,
)
from secureflow.adapters.link.callbacks import Callbacks
from secureflow.adapters.link.relay import PeerPlace
from secureflow.adapters.link.server import LinkServer
from secureflow.application.ports.courier import Request
from secureflow.domain.blobs import BlobPlace
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, SpiffeId, make_csr, new_link_key

JSON = Any
DOMAIN = "consortium.example"


def now() -> int:
    """Unix seconds: certificates on the wire are checked against the real time."""
    return int(time.time())


class Pki:
    """An authority and the credentials that it handed out."""

    def __init__(self, directory: Path, domain: str = DOMAIN) -> None:
        self.directory = directory
        self.authority = Authority.create(directory / "ca", domain, now())

    def enrol(
        self, uri: str, *, life: timedelta = timedelta(hours=1), at: int | None = None
    ) -> CredentialFiles:
        """Issue a certificate for a role; listening roles get their DNS name."""
        spiffe = SpiffeId.parse(uri)
        dns = {"server": [SERVER_NAME], "enclave": [ENCLAVE_NAME], "agent": []}[spiffe.role]
        key = new_link_key()
        chain = self.authority.issue(make_csr(key), uri, at or now(), life=life, dns=dns)
        place = self.directory / f"{uri.rsplit('/', 1)[1]}-{key.private_numbers().private_value:x}"
        return CredentialFiles.create(place, self.authority.pem, key, chain)

    def server(self) -> CredentialFiles:
        """Credentials of the centre."""
        return self.enrol(f"spiffe://{self.authority.trust_domain}/server")

    def enclave(self) -> CredentialFiles:
        """Credentials of the enclave."""
        return self.enrol(f"spiffe://{self.authority.trust_domain}/enclave/main")

    def agent(self, organisation: str, **options: Any) -> CredentialFiles:
        """Credentials of an organisation's agent."""
        domain = self.authority.trust_domain
        return self.enrol(f"spiffe://{domain}/org/{organisation}/agent/a1", **options)


class Centre:
    """A `LinkServer` with callbacks that a test can look into and change."""

    def __init__(self, pki: Pki, directory: Path, port: int = 0) -> None:
        self.pki = pki
        self.artifacts = FileArtifacts(directory / "blobs")
        self.revoked: set[str] = set()
        self.revoked_lately: list[str] = []
        self.hellos: list[tuple[str, JSON]] = []
        self.calls: list[tuple[str, str, JSON]] = []
        self.greeted = asyncio.Event()
        self.refuse_hello: SecureFlowError | None = None
        self.refuse_party = ""
        """Whose hello is refused; every one's where nobody is named."""
        self.log_proofs: Callable[[str, LogProgress], JSON] = lambda *_: None
        self.answer_call: Callable[[str, str, JSON], JSON] = lambda _, __, body: body
        self.readable = True
        self.writable = True
        self.joined: list[tuple[str, PeerPlace]] = []
        self.refuse_join: SecureFlowError | None = None
        self.credentials = pki.server()
        self.server = self._make(port)
        self.port = 0

    def _make(self, port: int) -> LinkServer:
        callbacks = Callbacks(
            authorise=self._authorise,
            on_hello=self._on_hello,
            call=self._call,
            log_proofs=self._log_proofs,
            may_read=self._may_read,
            may_write=self._may_write,
            revoked=self._revoked,
            may_join=self._may_join,
        )
        domain = self.pki.authority.trust_domain
        return LinkServer(
            f"127.0.0.1:{port}", self.credentials, domain, callbacks, self.artifacts,
            clock=now, version="1",
        )  # fmt: skip

    @property
    def address(self) -> str:
        """Where parties dial."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> Centre:
        """Listen."""
        self.port = await self.server.start()
        return self

    async def restart(self) -> None:
        """Be killed and start again on the same port, having forgotten everything open."""
        await self.server.stop(0)
        self.server = self._make(self.port)
        await self.server.start()

    async def connected(self, party: str) -> None:
        """Wait until the party has a stream."""
        while not self.server.status(party).connected:
            self.greeted.clear()
            await self.greeted.wait()
            await asyncio.sleep(0)

    async def ask(
        self, party: str, verb: str, body: JSON = None, *, seq: int = 1, patience: float = 20.0
    ) -> JSON:
        """Ask a party under the id `job_1/seq/party`."""
        request = Request(f"job_1/{seq}/{party}", party, verb, body or {}, patience)
        return await self.server.ask(request)

    async def _authorise(self, spiffe: SpiffeId, serial: str) -> PeerIdentity:
        if serial in self.revoked:
            raise SecureFlowError("certificate_revoked", f"{spiffe} has been revoked.")
        if spiffe.role == "server":
            raise SecureFlowError("forbidden", "A server is no party.")
        return PeerIdentity(spiffe.organisation or "enclave", spiffe, serial)

    async def _revoked(self) -> list[str]:
        return self.revoked_lately

    async def _on_hello(self, peer: PeerIdentity, hello: JSON) -> None:
        if self.refuse_hello and self.refuse_party in ("", peer.party):
            raise self.refuse_hello
        self.hellos.append((peer.party, hello))
        asyncio.get_running_loop().call_soon(self.greeted.set)

    async def _call(self, peer: PeerIdentity, kind: str, body: JSON) -> JSON:
        self.calls.append((peer.party, kind, body))
        return self.answer_call(peer.party, kind, body)

    async def _log_proofs(self, party: str, body: JSON, standing: LogProgress) -> JSON:
        return self.log_proofs(party, standing)

    async def _may_read(self, peer: PeerIdentity, digest: str) -> bool:
        return self.readable

    async def _may_join(self, peer: PeerIdentity, place: PeerPlace) -> None:
        if self.refuse_join is not None:
            raise self.refuse_join
        self.joined.append((peer.party, place))

    async def _may_write(
        self, peer: PeerIdentity, digest: str, size: int, place: BlobPlace | None = None
    ) -> FileArtifacts | None:
        return self.artifacts if self.writable else None


class Party:
    """A `Link` with a handler that a test sets, running as a task."""

    def __init__(
        self,
        address: str,
        credentials: CredentialFiles,
        handle: Callable[[str, JSON, JSON], Awaitable[JSON]],
        clock: Callable[[], int] = now,
    ) -> None:
        self.handled: list[tuple[str, JSON, JSON]] = []
        self.standing: JSON = {"log_size": 0, "unproved": []}
        self.withdrawn: list[str] = []
        self._handle = handle
        self.link = Link(
            address, credentials, self._hello, self._work,
            clock=clock, whose="bank-a", withdrawn=self.withdrawn.append,
        )  # fmt: skip
        self._task: asyncio.Task[None] | None = None

    def start(self) -> Party:
        """Dial."""
        self._task = asyncio.create_task(self.link.run())
        return self

    async def stop(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _hello(self) -> JSON:
        return {"version": "1", **self.standing}

    async def _work(self, verb: str, body: JSON, log_proofs: JSON) -> JSON:
        self.handled.append((verb, body, log_proofs))
        return await self._handle(verb, body, log_proofs)


class Cutter:
    """A TCP proxy whose connections a test cuts, stalls or refuses, after a number of bytes too."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._pairs: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._refusing = False
        self.port = 0
        self.cut_after: int | None = None
        """Bytes from the client after which every connection is cut, once."""
        self.passed = 0
        """Bytes that clients sent so far."""
        self.cuts = 0
        self._thawed = asyncio.Event()
        self.freeze_after: int | None = None
        """Bytes from the client after which its connection goes dead unnoticed, once."""
        self.delay = 0.0
        """Seconds that everything takes to the other end, as over a satellite."""

    @property
    def address(self) -> str:
        """Where clients dial."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> Cutter:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def retarget(self, port: int) -> None:
        """Lead new connections elsewhere."""
        self._target = port

    def cut(self) -> None:
        """Reset every connection now."""
        self.cuts += 1
        for writer in list(self._pairs):
            writer.transport.abort()

    def refuse(self, refusing: bool) -> None:
        """Reset new connections at once, or stop doing so."""
        self._refusing = refusing

    async def stop(self) -> None:
        """Close everything."""
        self._thawed.set()
        self.cut()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        ends = {writer}
        self._pairs |= ends
        try:
            await asyncio.sleep(2 * self.delay)  # TCP's own turn: the kernel here answers at once
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(far_writer)
            self._pairs |= ends
            await asyncio.gather(
                self._pump(reader, far_writer, counts=True),
                self._pump(far_reader, writer, counts=False),
            )
        except ConnectionError:
            pass
        finally:  # a test that ends while it dials, too
            for end in ends:
                end.transport.abort()
            self._pairs -= ends

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        while data := await reader.read(1 << 16):
            if counts:
                self.passed += len(data)
                if self.cut_after is not None and self.passed >= self.cut_after:
                    self.cut_after = None
                    self.cut()
                    return
                if self.freeze_after is not None and self.passed >= self.freeze_after:
                    self.freeze_after = None
                    await self._thawed.wait()
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, writer.write, data)
                continue
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that no event tells; the suite's timeout bounds it."""
    while not condition():  # noqa: ASYNC110  conditions of many kinds
        await asyncio.sleep(0.001)


async def echo(verb: str, body: JSON, log_proofs: JSON) -> JSON:
    """A handler that answers what it was told."""
    return {"verb": verb, "body": body, "rider": log_proofs}


@contextlib.asynccontextmanager
async def party(
    centre: Centre, organisation: str = "bank-a", **options: Any
) -> AsyncIterator[Party]:
    """A connected party of a centre."""
    handle = options.pop("handle", echo)
    address = options.pop("address", centre.address)
    clock = options.pop("clock", now)
    peer = Party(address, centre.pki.agent(organisation, **options), handle, clock).start()
    try:
        await peer.link.connected.wait()
        yield peer
    finally:
        await peer.stop()
