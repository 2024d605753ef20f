"""The centre's answers to parties on their links: admission, calls and blobs.

A party may fetch a blob if and only if a request delivered to it names that blob, so knowing the
digests of another job's models is not enough to read them; and the code bundles of the projects in
which its organisation takes part, as its people may. The enclave stores models; an agent
stores the one masked vector, or the one sealed file, that a delivered request asks for. Sealed
files lie where vectors do: as long as their job runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.adapters.artifacts.several import SeveralArtifacts
from secureflow.adapters.link import LogProgress, PeerIdentity
from secureflow.adapters.link.callbacks import Callbacks
from secureflow.adapters.link.relay import PeerPlace
from secureflow.application.access import Principal
from secureflow.application.organisations import ENCLAVE
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.running.aggregation import Scratch
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.witnessing import Witnessing
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.partyengines import announced
from secureflow.domain.users import Role
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.pki import ca_fingerprint
from secureflow.kit.plain import shown
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.text import Text
from secureflow.kit.version import __version__
from secureflow.server.anchorverbs import tell_anchors
from secureflow.server.authorities import note_roots
from secureflow.server.grantverbs import end, listed, tell, withdraw
from secureflow.server.logverbs import (
    adopt_charter,
    ends,
    judge_greeting,
    log_status,
    own_leaves,
    prove,
    resubmit,
    show,
)
from secureflow.server.peers import check_join
from secureflow.server.questionverbs import answers, ask
from secureflow.server.revenueverbs import REVENUE_VERBS
from secureflow.server.services import Services

Body = Mapping[str, JSON]
MAX_TICKETS: Final = 10_000

_log = get_logger(__name__)


@dataclass
class _Awaited:
    """A masked vector that a party was asked for, with its digest once it begins to arrive.

    Agents of version 0.2.0 do not say which of theirs they store; then there are several.
    """

    size: int
    digests: set[str] = field(default_factory=set)
    named: str = ""

    def takes(self, digest: str, most: int) -> bool:
        """Tell whether this may be one of so many that may be its vector; it is from then on."""
        if digest not in self.digests and len(self.digests) >= most:
            return False
        self.digests.add(digest)
        return True

    def takes_named(self, digest: str) -> bool:
        """Tell whether this is its vector, whose agent says so; it is from then on.

        What an agent that did not say may have meant counts for nothing: it was upgraded since.
        """
        self.named = self.named or digest
        if self.named != digest:
            return False
        self.digests.add(digest)
        return True


class Tickets:
    """Which party was told of, or asked for, which blob; the oldest are forgotten first.

    A restart forgets all of them, and delivers the open requests again, which restores them.
    """

    def __init__(self, capacity: int = MAX_TICKETS) -> None:
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._awaited: OrderedDict[tuple[str, str, str, int], _Awaited] = OrderedDict()
        self._handed: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._capacity = capacity

    def note(self, party: str, body: Body) -> None:
        """Remember the blob that a request to the party names."""
        named = [body.get("model"), *(step.get("mean") for step in body.get("steps", ()))]
        for blob in named:
            digest = blob.get("artifact") if isinstance(blob, Mapping) else None
            if isinstance(digest, str) and digest:
                _remember(self._told, (party, digest), None, self._capacity)
        files = body.get("files")
        for sealed in files.values() if isinstance(files, Mapping) else ():
            if isinstance(sealed, Mapping):
                blob = (party, str(sealed.get("artifact")))
                _remember(self._handed, blob, str(body.get("job")), self._capacity)
        vector = body.get("vector")
        here = body.get("uplink") is None  # else it goes to the enclave
        if isinstance(vector, Mapping) and here and not body.get("generation"):
            place = (party, body["job"], body["stage"], body["round"])
            known = self._awaited.get(place, _Awaited(vector["size"]))
            _remember(self._awaited, place, known, self._capacity)

    def awaited(
        self, party: str, digest: str, size: int, place: BlobPlace | None = None
    ) -> list[str]:
        """Return the jobs that wait for this vector of the party: one vector per round.

        Several only for a party that does not say which: all that wait for one of this size may be
        meant. Whichever was, finds it; the others are without it as if it had not come.
        """
        if place is not None:
            named = self._awaited.get((party, place.job, place.stage, place.round))
            takes = named is not None and named.size == size and named.takes_named(digest)
            return [place.job] if takes else []
        equal = [(at[1], one) for at, one in reversed(self._awaited.items())
                 if at[0] == party and one.size == size]  # fmt: skip
        return list(dict.fromkeys(job for job, one in equal if one.takes(digest, len(equal))))

    def drop(self, job: str) -> None:
        """Forget the vectors that a job waits for, and its sealed files: it is over."""
        for at in [one for one in self._awaited if one[1] == job]:
            del self._awaited[at]
        for blob in [one for one, of in self._handed.items() if of == job]:
            del self._handed[blob]

    def handed(self, party: str, digest: str) -> str:
        """Return the job in which a sealed file is handed over to the party; "" for none."""
        return self._handed.get((party, digest), "")

    def held(self, party: str, digest: str) -> bool:
        """Tell whether the party was told of the blob."""
        return (party, digest) in self._told


class PartyDesk:
    """Serves the parties on their links.

    The link listens before the use cases are complete (they need its port), so answers wait for
    `open`.

    Args:
        witnessing: makes the log proofs.
        max_blob: maximum bytes of one blob of the enclave.
        clock: unix seconds.
        artifacts: where the enclave stores models.
        vectors: where agents store masked vectors.
        turns: rate limits for the agents of each organisation; not for the operator's enclave.
        peer_kinds: the kinds of job whose parties open channels to each other.
    """

    def __init__(
        self,
        witnessing: Witnessing,
        max_blob: int,
        clock: Clock,
        artifacts: Artifacts,
        vectors: Scratch,
        turns: Throttle,
        peer_kinds: Collection[str] = (),
    ) -> None:
        self._witnessing = witnessing
        self._artifacts = artifacts
        self._vectors = vectors
        self._turns = turns
        self._peer_kinds = peer_kinds
        self._max_blob = max_blob
        self._clock = clock
        self._tickets = Tickets()
        self._services: asyncio.Future[Services] = asyncio.get_running_loop().create_future()
        self._calls: dict[str, Callable[[Services, PeerIdentity, Body], Awaitable[JSON]]] = {
            "certificate.renew": _renew,
            "certificate.list": _certificates,
            "dataset.publish": _publish,
            "dataset.remove": _remove,
            "dataset.uses": _uses,
            "charter.get": _charter,
            "charter.sign": _sign,
            "charter.take_over": adopt_charter,
            "audit.head": _head,
            "job.ends": ends,
            "log.show": show,
            "log.mine": own_leaves,
            "log.prove": prove,
            "log.resubmit": resubmit,
            "audit.entries": _entries,
            "grant.tell": tell,
            "grant.end": end,
            "grant.list": listed,
            "job.withdraw": withdraw,
            "anchor.tell": tell_anchors,
            "question.ask": ask,
            "question.answers": answers,
            **REVENUE_VERBS,
            "status": self._status,
            "engines": _engines,
        }

    def open(self, services: Services) -> None:
        """Start answering."""
        self._services.set_result(services)

    def callbacks(self) -> Callbacks:
        """Return the link's callbacks."""
        return Callbacks(
            authorise=self.authorise,
            on_hello=self.hello,
            call=self.call,
            log_proofs=self.log_proofs,
            may_read=self.may_read,
            may_write=self.may_write,
            revoked=self.revoked,
            certificate_problem=self.certificate_problem,
            may_join=self.may_join,
            on_link=self.linked,
        )

    def linked(self, party: str, connected: bool) -> None:
        """Tell open pages that a party's link opened or is gone."""
        if self._services.done():
            self._services.result().feed.linked(party, connected)

    async def authorise(self, spiffe: SpiffeId, serial: str) -> PeerIdentity:
        """Return the peer of a certificate; called at the start of every RPC.

        Raises:
            SecureFlowError: `certificate_revoked`, or `rate_limited`.
        """
        if spiffe.role == "agent" and (wait := self._turns.take(spiffe.organisation)):
            raise too_fast(wait)
        services = await self._services
        agent = await services.organisations.admitted(str(spiffe))
        return PeerIdentity(agent.party, spiffe, serial)

    async def revoked(self) -> Sequence[str]:
        """Return the revoked SPIFFE ids whose certificates may not have expired yet."""
        return await (await self._services).organisations.revoked_lately()

    async def certificate_problem(self, party: str) -> str:
        """Return why a party's certificate is not valid by this clock, if that is known."""
        services = await self._services
        with contextlib.suppress(SecureFlowError):  # only an explanation of a party's silence
            return await services.organisations.certificate_problem(party)
        return ""

    async def hello(self, peer: PeerIdentity, body: dict[str, JSON]) -> None:
        """Check a party's greeting.

        Raises:
            SecureFlowError: `key_mismatch` if an agent signs with another key than the enrolled
                one.
        """
        services = await self._services
        key, address = body.get("key", ""), str(body.get("address", ""))[:256]
        await services.organisations.arrived(str(peer.spiffe), key, address)
        await judge_greeting(services, peer, body)
        if "roots" in body:
            async with services.begin() as work:
                if await note_roots(work, str(peer.spiffe), body["roots"]):
                    await work.commit()
        _log.info(
            "party_connected", party=peer.party, version=shown(str(body.get("version", ""))[:64])
        )

    async def call(self, peer: PeerIdentity, kind: str, body: dict[str, JSON]) -> JSON:
        """Answer a call.

        Raises:
            SecureFlowError: `unknown_kind`, `invalid_request`, or the use case's error.
        """
        handler = self._calls.get(kind)
        if handler is None:
            raise SecureFlowError(
                "unknown_kind",
                Text("The server does not know the call {kind!r}.", kind=kind[:64]),
                "Use an agent and a server of the same version.",
            )
        return await handler(await self._services, peer, body)

    async def log_proofs(self, party: str, body: Body, standing: LogProgress) -> JSON:
        """Return the log proofs for a request, and note the blob that it names."""
        self._tickets.note(party, body)
        return await self._witnessing.log_proofs(body, standing.log_size, standing.unproved) or None

    async def may_read(self, peer: PeerIdentity, digest: str) -> bool | Artifacts:
        """Tell whether a request told the party of this blob, or it is code of its projects.

        Returns:
            The store of a sealed file; True for what is in the link's own store.
        """
        if job := self._tickets.handed(peer.party, digest):
            with contextlib.suppress(SecureFlowError):  # it is over
                return self._vectors.of(job)
            self._tickets.drop(job)
        if self._tickets.held(peer.party, digest):
            return True
        services = await self._services
        return peer.party != ENCLAVE and await services.bundles.readable_by(peer.party, digest)

    async def may_write(
        self, peer: PeerIdentity, digest: str, size: int, place: BlobPlace | None = None
    ) -> Artifacts | None:
        """Return where the party may store a blob: the enclave models, an agent its vector."""
        if size > self._max_blob:
            return None
        if peer.party == ENCLAVE:
            return self._artifacts
        stores = []
        for job in self._tickets.awaited(peer.party, digest, size, place):
            try:
                stores.append(self._vectors.of(job))
            except SecureFlowError:  # it is over
                self._tickets.drop(job)
        if len(stores) > 1:
            return SeveralArtifacts(stores)
        return stores[0] if stores else None

    async def may_join(self, peer: PeerIdentity, place: PeerPlace) -> None:
        """Refuse a channel that no running job has; see `check_join`."""
        services = await self._services
        await check_join(services.begin, self._peer_kinds, peer.party, place)

    async def _status(self, services: Services, peer: PeerIdentity, body: Body) -> JSON:
        del body
        charter = await services.charters.current()
        log = await log_status(services)
        enclave = services.courier.status(ENCLAVE)
        return {
            "time": self._clock(),
            "version": __version__,
            "party": peer.party,
            "charter": charter.charter.digest if charter else "",
            "ca": ca_fingerprint(services.organisations.ca),
            "enclave": {
                "connected": enclave.connected,
                "tee": enclave.tee,
                "measurement": enclave.measurement,
            },
            "log": {
                "origin": services.ledger.origin,
                "key": services.ledger.public,
                "size": parse_note(log["note"]).checkpoint.size,
                "held": log["held"],
                "restored": log["restored"],
            },
        }


def _remember(tickets: OrderedDict[Any, Any], key: Any, value: Any, capacity: int) -> None:
    tickets[key] = value
    tickets.move_to_end(key)
    if len(tickets) > capacity:
        tickets.popitem(last=False)


async def _renew(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    csr = _text(body, "csr", 16_384)
    return {"certificate": await services.organisations.renew(str(peer.spiffe), csr)}


async def _certificates(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    del body
    return {"renewed": list(await services.organisations.certificates(str(peer.spiffe)))}


async def _publish(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    published = await services.datasets.publish(_organisation(peer), body)
    grants = {"kept": published.kept, "reduced": published.reduced, "ended": published.ended}
    return {"id": published.dataset.id, "grants": grants}


async def _uses(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    return await services.datasets.uses(_organisation(peer), _text(body, "name", 64))


async def _remove(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    await services.datasets.unpublish(_organisation(peer), _text(body, "name", 64))
    return {}


async def _engines(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    services.courier.note_engines(_organisation(peer), announced(body.get("engines")) or {})
    return {}


async def _charter(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    del peer, body
    current, candidate = await services.charters.current(), await services.charters.candidate()
    return {"current": current and current.json(), "candidate": candidate and candidate.json()}


async def _sign(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    digest, signature = _text(body, "digest", 64), _text(body, "signature", 128)
    await services.charters.add_signature(_organisation(peer), digest, signature)
    return {}


async def _head(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return the newest head and the consistency proof from the size that the party saw last."""
    del peer
    note = await services.ledger.head()
    size, old = parse_note(note).checkpoint.size, _number(body, "from")
    if old > size:
        raise SecureFlowError(
            "not_found",
            Text("The log has {size} leaves, not {old}.", size=size, old=old),
            "If you saw more before, the log was rolled back: tell the other members.",
        )
    proof = await services.ledger.consistency(old, size) if 0 < old < size else []
    return {"note": note, "consistency": [node.hex() for node in proof]}


async def _entries(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return entries as an auditor of the party's organisation may see them."""
    auditor = Principal(
        *(str(peer.spiffe), peer.party, _organisation(peer), frozenset({Role.AUDITOR}), ""),
        agent=True,
    )
    limit = min(_number(body, "limit") or 100, 500)
    found = await services.audit.entries(auditor, start=_number(body, "start"), limit=limit)
    return {"entries": list(found)}


def _organisation(peer: PeerIdentity) -> str:
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave does not act for an organisation.")
    return peer.party


def _text(body: Body, name: str, longest: int) -> str:
    value = body.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise SecureFlowError(
            "invalid_request",
            Text(
                "{name} must be a string of at most {longest} characters.",
                name=name,
                longest=longest,
            ),
        )
    return value


def _number(body: Body, name: str) -> int:
    value = body.get(name, 0)
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise SecureFlowError("invalid_request", Text("{name} must be a number.", name=name))
    return value
