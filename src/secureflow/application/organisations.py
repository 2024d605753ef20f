"""Organisations, and how their agents and the enclave join: one-time tokens and link certificates.

The certificate identifies the end of a link. The identity of an organisation is defined by the
charter, with the signing key whose possession is proven here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from secureflow.application import revocations
from secureflow.application.access import Principal, missing, require
from secureflow.application.idempotency import conflict, request_of
from secureflow.application.issuing import Issuing, certificate_problem, issued
from secureflow.application.jobs.reachability import Reachability
from secureflow.application.listing import (
    list_complete,
    list_first,
    list_readable,
    list_with_damaged,
)
from secureflow.application.ports.courier import Courier, PartyStatus
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.charter import RESERVED
from secureflow.domain.ids import new_id
from secureflow.domain.organisations import Agent, AgentKind, Enrolment, Organisation, shut_out
from secureflow.kit import crypto
from secureflow.kit.clock import Clock
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.pki import (
    CLOCK_SKEW,
    PARTY_LIFE,
    ca_fingerprint,
    parse_certificate,
    serial,
)
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.text import Text

ENCLAVE: Final = "enclave"
ENROLMENT_SECONDS: Final = 7 * 86_400

_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True)
class Enrolled:
    """A newcomer's result: a certificate chain, and how to reach and verify the centre."""

    certificate: str
    ca: str
    spiffe: str
    trust_domain: str
    link: str
    log: Mapping[str, str]


@dataclass(frozen=True)
class CentreDescription:
    """The centre's description for newcomers. `link` is `host:port` of the gRPC link.

    The log is asked each time, since its name changes when its members let it continue. `server` is
    this server's name; `others` are the names of the other running servers of the database.
    """

    link: str
    log: Ledger
    server: str = ""
    others: Callable[[], Collection[str]] = frozenset


class Organisations:
    """Use cases around organisations and their agents.

    `expel` cuts a revoked agent's open link; `notify_disabled` gets all disabled organisations,
    whenever one is disabled or enabled.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        issuing: Issuing,
        centre: CentreDescription,
        clock: Clock,
        quotas: Quotas,
        expel: Callable[[Agent], None] = lambda _: None,
        notify_disabled: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._issuing = issuing
        self._authority = issuing.authority
        self._centre = centre
        self._clock = clock
        self._quotas = quotas
        self._expel = expel
        self._notify_disabled = notify_disabled

    @property
    def ca(self) -> str:
        """The link CA's certificate as PEM."""
        return self._authority.pem

    async def create(self, principal: Principal, slug: str, name: str) -> Organisation:
        """Register an organisation under its slug.

        Raises:
            SecureFlowError: `forbidden`, `invalid_name`, `already_exists`.
        """
        require(principal, "organisation.create")
        if not _SLUG.fullmatch(slug) or slug in RESERVED:
            raise SecureFlowError(
                "invalid_name",
                Text("{name!r:.80} cannot name an organisation.", name=slug),
                Text(
                    "Use lowercase letters, digits and hyphens, not {reserved}.",
                    reserved=" or ".join(sorted(RESERVED)),
                ),
            )
        organisation = Organisation(slug, name, self._clock())
        async with self._transactions() as transaction:
            await transaction.work.organisations.add(organisation)
            document = {"organisation": slug, "name": name, "by": principal.user}
            transaction.record("organisation.created", document)
            transaction.answer(organisation)
        return organisation

    async def get(self, principal: Principal, slug: str) -> Organisation:
        """Return an organisation; the directory, like the charter, is open to all users."""
        require(principal, "organisation.read")
        async with self._begin() as work:
            organisation = await work.organisations.find(slug)
        if organisation is None:
            raise missing("organisation", slug)
        return organisation

    async def list(self, principal: Principal, *, cursor: str = "", limit: int = 50) -> Page:
        """Return the directory of organisations."""
        require(principal, "organisation.read")
        async with self._begin() as work:
            return await work.organisations.list(cursor=cursor, limit=limit)

    async def set_disabled(self, principal: Principal, slug: str, disabled: bool) -> Organisation:
        """Disable an organisation, its people and its agent, or enable it again.

        Disabling works while the log is held: a restored centre may have forgotten it.

        Raises:
            SecureFlowError: `forbidden`, `not_found`.
        """
        require(principal, "organisation.disable")
        async with self._transactions(held=disabled) as transaction:
            await transaction.work.lock("organisations")  # the list passed on below is complete
            organisation = await transaction.work.organisations.find(slug)
            if organisation is None:
                raise missing("organisation", slug)
            if organisation.disabled != disabled:
                await revocations.mark_changed(transaction.work)
                organisation = replace(organisation, disabled=disabled)
                await transaction.work.organisations.save(organisation)
                kind = "organisation.disabled" if disabled else "organisation.enabled"
                transaction.record(kind, {"organisation": slug, "by": principal.user})
            transaction.then(
                partial(self._notify_disabled, await revocations.disabled(transaction.work))
            )
            return transaction.answer(organisation)

    async def invite(
        self, principal: Principal, kind: AgentKind, organisation: str, key: str = ""
    ) -> tuple[Enrolment, str]:
        """Make a one-time enrolment token; its text is shown once and not stored.

        It replaces one that was made under the same `key`, whose text was lost.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `invalid_request`, `quota_exceeded`,
                `idempotency_conflict`; `proof_required`: its agent outlives a session.
        """
        require(principal, "enrolment.create")
        if not principal.operator and (kind == "enclave" or not principal.acts_for(organisation)):
            raise missing("organisation", organisation)
        if (kind == "agent") != bool(organisation):
            raise SecureFlowError(
                "invalid_request", "An agent must have an organisation, an enclave must have none."
            )
        if organisation:
            await self.get(principal, organisation)
        async with self._begin() as work:
            await require_proof(work, principal, self._clock(), others=True)
        return await self.make_token(kind, organisation, principal.user, key)

    async def make_token(
        self, kind: AgentKind, organisation: str, by: str, key: str = ""
    ) -> tuple[Enrolment, str]:
        """Store and return a token without an authority check (`server init`)."""
        token = EnrolmentToken.create(
            new_id("enr"), kind, organisation, ca_fingerprint(self._authority.pem)
        )
        now, request = self._clock(), request_of(by, key)
        enrolment = Enrolment(
            *(token.id, kind, organisation, token.secret_digest, now, now + ENROLMENT_SECONDS),
            request=request,
        )
        async with self._transactions() as transaction:
            if request:
                await _end_lost(transaction, request, by, now)
            await self._quotas.another_enrolment(transaction.work, organisation, now)
            await transaction.work.enrolments.add(enrolment)
            document = {"enrolment": token.id, "kind": kind, "organisation": organisation, "by": by}
            transaction.record("enrolment.created", document)
        return enrolment, token.encode()

    async def invitations(self, principal: Principal, *, cursor: str = "", limit: int = 50) -> Page:
        """Return enrolments of the caller's organisation (the operator sees all)."""
        require(principal, "enrolment.read")
        equals = {} if principal.operator else {"organisation": principal.organisation}
        async with self._begin() as work:
            return await work.enrolments.list(cursor=cursor, limit=limit, **equals)

    async def enroll(self, text: str, csr: str, name: str, key: str, signature: str) -> Enrolled:
        """Turn a one-time token and a CSR into a link certificate.

        Raises:
            SecureFlowError: `token_malformed`, `token_refused`, `proof_refused`, `csr_…`,
                `spiffe_malformed`, `already_exists`.
        """
        token = EnrolmentToken.parse(text)
        _check_proof(token, csr, key, signature)
        identity = self._identity(token, name)
        async with self._transactions() as transaction:
            enrolment = await self._redeem(transaction, token)
            certificate = self._issuing.issue(csr, identity)
            agent = Agent(
                id=str(identity),
                kind=enrolment.kind,
                party=enrolment.organisation or ENCLAVE,
                organisation=enrolment.organisation,
                key=key,
                created=self._clock(),
                serial=serial(parse_certificate(certificate)),
            )
            await _admit(transaction.work, agent, self._quotas)
            document = {"enrolment": token.id, "agent": agent.id, "key": agent.key}
            transaction.record("enrolment.used", {**document, "organisation": agent.organisation})
        log = {"origin": self._centre.log.origin, "key": self._centre.log.public}
        trust_domain = self._authority.trust_domain
        return Enrolled(certificate, self.ca, agent.id, trust_domain, self._centre.link, log)

    async def renew(self, spiffe: str, csr: str) -> str:
        """Return a new certificate chain for an enrolled agent (it asks over its own link).

        Raises:
            SecureFlowError: `certificate_revoked`, `organisation_disabled`, `csr_…`.
        """
        async with self._begin() as work:
            await work.lock(f"renewals/{spiffe}")
            agent = await speaking(work, await _found(work, spiffe))
            certificate, seq = await self._issuing.renew(work, agent, csr, "link")
            await work.commit()
        await self._issuing.number(seq)
        return certificate

    async def certificates(self, spiffe: str) -> Sequence[Mapping[str, object]]:
        """Return the renewals of an agent's certificate, for its own doctor."""
        async with self._begin() as work:
            return await issued(work, spiffe)

    async def certificate_problem(self, party: str) -> str:
        """Return why a party's certificate is not valid by this clock, if it is not."""
        async with self._begin() as work:
            return await certificate_problem(work, party, self._clock())

    async def agents(self, principal: Principal, *, cursor: str = "", limit: int = 50) -> Page:
        """Return the agents of the caller's organisation (the operator sees all)."""
        require(principal, "agent.read")
        equals = {} if principal.operator else {"organisation": principal.organisation}
        async with self._begin() as work:
            return await work.agents.list(cursor=cursor, limit=limit, **equals)

    async def revoke(self, principal: Principal, spiffe: str) -> Agent:
        """Revoke an agent with every certificate that it ever got, not just the newest.

        This works while the log is held: a restored centre may have forgotten it.
        """
        require(principal, "agent.revoke")
        async with self._transactions(held=True) as transaction:
            agent = await transaction.work.agents.find(spiffe)
            if agent is None or not (principal.operator or principal.acts_for(agent.organisation)):
                raise missing("agent", spiffe)
            if agent.revoked is None:
                await revocations.mark_changed(transaction.work)
                agent = replace(agent, revoked=self._clock())
                await transaction.work.agents.save(agent)
                document = {"agent": agent.id, "organisation": agent.organisation}
                transaction.record("agent.revoked", {**document, "by": principal.user})
            transaction.then(partial(self._expel, agent))
            return transaction.answer(agent)

    async def admitted(self, spiffe: str) -> Agent:
        """Return the enrolled agent of a link; called at the start of every RPC.

        Raises:
            SecureFlowError: `certificate_revoked`, `organisation_disabled`.
        """
        async with self._begin() as work:
            return await speaking(work, await _found(work, spiffe))

    async def arrived(self, spiffe: str, key: str, address: str) -> None:
        """Record where a connecting party is: an enclave's address, and this server as its own.

        Raises:
            SecureFlowError: `key_mismatch` if an agent signs with another key than the enrolled
                one, `certificate_revoked`, `organisation_disabled`.
        """
        agent = await self.admitted(spiffe)
        if agent.key and key and key != agent.key:
            raise SecureFlowError(
                "key_mismatch",
                Text("{spiffe} enrolled another signing key than it uses now.", spiffe=spiffe),
                (
                    "Restore the key, or revoke the agent and enrol a new one; then the "
                    "charter must be changed too."
                ),
            )
        address = address if agent.party == ENCLAVE else agent.address
        if (agent.address, agent.server) == (address, self._centre.server):
            return
        try:
            async with self._begin() as work:  # a stale copy would undo a revocation
                current = await speaking(work, await _found(work, spiffe))
                here = replace(current, address=address, server=self._centre.server)
                await work.agents.save(here)
                await work.commit()
        except InfrastructureError:
            if address != agent.address:
                raise
            # Only information for people: a database that cannot write must not cut anyone off.

    async def revoked_lately(self) -> Sequence[str]:
        """Return revoked SPIFFE ids for which a certificate may still be valid: enclaves, which
        admit peers themselves, must know them."""
        since = self._clock() - int((PARTY_LIFE + CLOCK_SKEW).total_seconds())
        async with self._begin() as work:
            agents, damaged = await list_with_damaged(work.agents)
        # Unreadable ones may have been revoked.
        gone = [agent.id for agent in agents if agent.revoked is not None and agent.revoked > since]
        return [*gone, *damaged]

    async def parties(self, principal: Principal, courier: Courier) -> Sequence[PartyStatus]:
        """Return link statuses of the enclave, the caller's organisation, and fellow members."""
        require(principal, "agent.read")
        async with self._begin() as work:
            wanted = {}
            if not principal.operator:
                wanted["party"] = sorted(await _fellows(work, principal) | {ENCLAVE})
            agents = await list_readable(work.agents, **wanted)
        shown = {agent.party: agent for agent in agents if agent.revoked is None}
        reachability = Reachability(courier, self._centre.others)
        return [reachability.link_of(shown[party]) for party in sorted(shown)]

    def _identity(self, token: EnrolmentToken, name: str) -> SpiffeId:
        return SpiffeId(self._authority.trust_domain, token.kind, token.organisation, name)

    async def _redeem(self, transaction: Transaction, token: EnrolmentToken) -> Enrolment:
        enrolment = await transaction.work.enrolments.find(token.id)
        now = self._clock()
        if (
            enrolment is None
            or not token.matches(enrolment.digest)
            or (enrolment.kind, enrolment.organisation) != (token.kind, token.organisation)
            or enrolment.used is not None
            or now >= enrolment.expires
        ):
            raise SecureFlowError(
                "token_refused",
                "The enrolment token is unknown, used or expired.",
                "Ask the operator for a new one; each works once. If the answer to an"
                " earlier attempt was lost, use the new one with the same directory: "
                "its key stays, and nothing needs to be revoked.",
            )
        used = replace(enrolment, used=now)
        await transaction.work.enrolments.save(used)
        return used


def revoked(spiffe: str) -> SecureFlowError:
    """Return the error for a link whose agent is not (or no longer) enrolled."""
    return SecureFlowError(
        "certificate_revoked",
        Text("{spiffe} is not enrolled, or has been revoked.", spiffe=spiffe),
        "Enrol again with a new token from the operator.",
    )


async def speaking(work: UnitOfWork, agent: Agent) -> Agent:
    """Return the agent if it and its organisation are still admitted.

    Raises:
        SecureFlowError: `certificate_revoked`, `organisation_disabled`.
    """
    if agent.revoked is not None:
        raise revoked(agent.id)
    if agent.organisation:  # an enclave belongs to the operator
        organisation = await work.organisations.find(agent.organisation)
        if organisation is None or organisation.disabled:
            raise shut_out(agent.organisation)
    return agent


async def _end_lost(transaction: Transaction, request: str, by: str, now: int) -> None:
    """End the token made earlier by the same request: its text was lost."""
    await transaction.work.lock(f"requests/{request}")
    for lost in await list_readable(transaction.work.enrolments, unexpired=now):
        if lost.request == request:
            if lost.used is not None:
                raise conflict()
            await transaction.work.enrolments.remove(lost.id)
            transaction.record("enrolment.ended", {"enrolment": lost.id, "by": by})


async def _found(work: UnitOfWork, spiffe: str) -> Agent:
    agent = await work.agents.find(spiffe)
    if agent is None:
        raise revoked(spiffe)
    return agent


def _check_proof(token: EnrolmentToken, csr: str, key: str, signature: str) -> None:
    """Check that a newcomer holds its key; enclaves of older versions send no proof."""
    keyless = token.kind == "enclave" and key == "" and signature == ""
    if not keyless and not crypto.verify(key, "enrol", proof_body(token.id, csr, key), signature):
        raise SecureFlowError(
            "proof_refused",
            "The enrolment does not prove possession of the signing key.",
            "Enrol with `secureflow agent enroll` on the machine that holds the key.",
        )


async def _admit(work: UnitOfWork, agent: Agent, quotas: Quotas) -> None:
    """Add the agent, or admit it again; one active agent per organisation, one owner per key."""
    if agent.kind == "agent":
        await work.lock(f"agents/{agent.organisation}")
        await work.lock(f"keys/{agent.key}")
        for other in await list_complete(work.agents, organisation=agent.organisation):
            if other.revoked is None and other.id != agent.id:
                raise SecureFlowError(
                    "already_exists",
                    Text(
                        "{organisation} already has the agent {id}.",
                        organisation=agent.organisation,
                        id=other.id,
                    ),
                    "Revoke it first: an organisation has one agent.",
                )
        twin = await list_first(work.agents, key=agent.key)
        if twin is not None and twin.organisation != agent.organisation:
            raise SecureFlowError(
                "already_exists",
                Text(
                    "The signing key of {organisation} belongs to another organisation.",
                    organisation=agent.organisation,
                ),
                "Create a new key at the agent: each organisation has a key of its own.",
            )
    old = await work.agents.find(agent.id)
    if old is None:
        if agent.kind == "agent":
            await quotas.another_agent(work, agent.organisation)
        await work.agents.add(agent)
    elif old.revoked is not None or (agent.kind == "agent" and old.key != agent.key):
        # The old one's certificates would become valid again. An enclave that is set up again has a
        # new key each time; the token shows that the operator wants it.
        raise SecureFlowError(
            "already_exists",
            Text(
                "{id} was enrolled before with another key, or has been revoked since.", id=agent.id
            ),
            "Revoke it if it is lost, and enrol under another name (--name).",
        )
    else:
        await work.agents.save(replace(agent, created=old.created))


async def _fellows(work: UnitOfWork, principal: Principal) -> set[str]:
    """Return the organisations that share an active project with the caller's, and its own."""
    if not principal.organisation:
        return set()
    shared = await list_readable(work.projects, active=principal.organisation)
    members = {m.organisation for project in shared for m in project.members if m.state == "active"}
    return members | {principal.organisation}
