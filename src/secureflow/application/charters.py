"""The charter at the centre: drafted from enrolled organisations, signed by their agents, adopted.

The centre is only a courier. Each agent checks every signature again and pins what its people
compared (docs/threat-model.md, "Identity").
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.application.access import Principal, missing, require
from secureflow.application.continuing import Continuing, remember
from secureflow.application.listing import list_readable
from secureflow.application.membership import (
    CANDIDATE,
    CHARTER_LOCK,
    CURRENT,
    check_candidate,
    described,
    member_keys,
    stored,
    suffices,
    with_signature,
)
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.charter import (
    Charter,
    Member,
    SignedCharter,
    accept_change,
    accept_first,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Charters:
    """Use cases around the charter.

    Args:
        begin: starts units of work.
        transactions: opens recorded transactions.
        trust_domain: of the link CA.
        ledger: the log.
        continuing: lets a log that was rolled back continue.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        trust_domain: str,
        ledger: Ledger,
        continuing: Continuing,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._trust_domain = trust_domain
        self._ledger = ledger
        self._continuing = continuing

    async def current(self) -> SignedCharter | None:
        """Return the adopted charter, if there is one."""
        async with self._begin() as work:
            return await stored(work, CURRENT)

    async def candidate(self) -> SignedCharter | None:
        """Return the charter that waits for signatures, if there is one."""
        async with self._begin() as work:
            return await stored(work, CANDIDATE)

    async def show(self, principal: Principal, *, candidate: bool = False) -> dict[str, Any]:
        """Return a charter with its digest and its fingerprint words.

        Raises:
            SecureFlowError: `not_found`.
        """
        require(principal, "charter.read")
        signed = await (self.candidate() if candidate else self.current())
        if signed is None:
            raise missing("charter", "candidate" if candidate else "current")
        return await described(signed)

    async def keys(self) -> Mapping[str, str]:
        """Return organisation → signing key of the adopted charter (empty without one)."""
        return await member_keys(self._begin)

    async def propose(
        self, principal: Principal, members: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Draft the next charter; an older candidate and its signatures are dropped.

        Args:
            principal: the operator.
            members: organisations; by default every enrolled one.

        Raises:
            SecureFlowError: `forbidden`, `not_enrolled`, `malformed_charter`.
        """
        require(principal, "charter.propose")
        async with self._transactions() as transaction:
            enrolled = await _enrolled(transaction.work)
            chosen = sorted(enrolled) if members is None else sorted(set(members))
            absent = [one for one in chosen if one not in enrolled]
            if absent or not chosen:
                raise SecureFlowError(
                    "not_enrolled",
                    Text(
                        "There is no enrolled agent of: {absent}.",
                        absent=", ".join(absent) or "any organisation",
                    ),
                    "Each member enrols its agent first: secureflow agent enroll.",
                    {"missing": absent},
                )
            draft = SignedCharter(
                await self._next(transaction.work, [enrolled[one] for one in chosen])
            )
            await transaction.work.set_setting(CANDIDATE, draft.json())
            document = {"digest": draft.charter.digest, "members": chosen, "by": principal.user}
            transaction.record("charter.proposed", {**document, "version": draft.charter.version})
            return transaction.answer(await described(draft))

    async def draft_continuation(self, principal: Principal) -> dict[str, Any]:
        """Draft the charter that continues a log that was rolled back.

        Raises:
            SecureFlowError: `forbidden`, `log_not_set_back`, `charter_missing`.
        """
        return await self._continuing.propose(principal)

    async def sign(
        self, principal: Principal, organisation: str, digest: str, signature: str
    ) -> dict[str, Any]:
        """Add an organisation's signature, no matter who submits it: it authenticates itself."""
        require(principal, "charter.sign")
        if not principal.operator and not principal.acts_for(organisation):
            raise missing("organisation", organisation)
        return await self.add_signature(organisation, digest, signature)

    async def add_signature(self, organisation: str, digest: str, signature: str) -> dict[str, Any]:
        """Add a signature to the candidate or the adopted charter; adopt a candidate with enough.

        A change is adopted before everyone has signed; later signatures count for newcomers.

        Raises:
            SecureFlowError: `not_found` without a candidate, `charter_mismatch` for another
                digest, `signature_refused`.
        """
        continued = await self._continuing.add_signature(organisation, digest, signature)
        if continued is not None:
            return await described(continued)
        async with self._transactions() as transaction:
            draft = await stored(transaction.work, CANDIDATE)
            pinned = await stored(transaction.work, CURRENT)
            if pinned is not None and pinned.charter.digest == digest:
                signed = with_signature(pinned, pinned.charter.keys, organisation, signature)
                transaction.record(
                    "charter.signed", {"digest": digest, "organisation": organisation}
                )
                await transaction.work.set_setting(CURRENT, signed.json())
                await remember(transaction.work, signed)
                return transaction.answer(await described(signed))
            if draft is None:
                raise missing("charter", "candidate")
            check_candidate(draft, organisation, digest)
            keys = {**(pinned.charter.keys if pinned else {}), **draft.charter.keys}
            signed = with_signature(draft, keys, organisation, signature)
            await _keep(transaction, signed, pinned, organisation)
            return transaction.answer(await described(signed))

    async def adopt_forgotten(self, organisation: str, signed: SignedCharter) -> None:
        """Adopt a version that its members signed and that this database has forgotten.

        A restored centre may be older than a change of the charter, and the log may be held: then
        its leaf waits. It does not matter who submits it: it counts by the signatures of the
        previous version's members; a first one only if it names the keys that are enrolled here,
        because anyone who makes up members can sign for all of them.

        Args:
            organisation: whose agent submits it.
            signed: the version that follows the current one; the current one itself is ignored.

        Raises:
            SecureFlowError: `charter_mismatch` if it does not follow, names another log, or
                continues this one; `charter_not_signed`.
        """
        async with self._transactions(held=True) as transaction:
            await transaction.work.lock(CHARTER_LOCK)
            pinned = await stored(transaction.work, CURRENT)
            if pinned is not None and pinned.charter == signed.charter:
                return
            self._check_log(signed.charter)
            if pinned is None:
                _check_enrolled(signed.charter, await _enrolled(transaction.work))
            # Every signature is verified: in a thread, not to block the event loop.
            await asyncio.to_thread(_accept, pinned, signed)
            await transaction.work.set_setting(CURRENT, signed.json())
            await transaction.work.set_setting(CANDIDATE, None)
            await remember(transaction.work, signed)
            facts = {"digest": signed.charter.digest, "version": signed.charter.version}
            by = {"signed": sorted(signed.signatures), "handed_by": organisation}
            transaction.record("charter.adopted", {**facts, **by})

    def _check_log(self, charter: Charter) -> None:
        """Refuse a charter of another log; one that continues this log needs its entries too."""
        here = (self._trust_domain, self._ledger.origin, self._ledger.public)
        if (charter.trust_domain, charter.origin, charter.log_key) != here:
            raise SecureFlowError(
                "charter_mismatch",
                Text(
                    "Charter version {version} is for the log {origin}, and the log here "
                    "is {ledger_origin}: this centre is older than that, or another one.",
                    version=charter.version,
                    origin=charter.origin,
                    ledger_origin=self._ledger.origin,
                ),
                "Put a newer database back.",
            )

    async def _next(self, work: UnitOfWork, members: Sequence[Member]) -> Charter:
        pinned = await stored(work, CURRENT)
        version = pinned.charter.version + 1 if pinned else 1
        previous = pinned.charter.digest if pinned else ""
        return Charter(
            version=version,
            trust_domain=self._trust_domain,
            origin=self._ledger.origin,
            log_key=self._ledger.public,
            members=tuple(members),
            previous=previous,
            continuations=pinned.charter.continuations if pinned else (),
        )


async def _keep(
    transaction: Transaction, signed: SignedCharter, pinned: SignedCharter | None, organisation: str
) -> None:
    digest = signed.charter.digest
    transaction.record("charter.signed", {"digest": digest, "organisation": organisation})
    # A change has every signature verified: in a thread, not to block the event loop.
    if not await asyncio.to_thread(suffices, signed, pinned):
        await transaction.work.set_setting(CANDIDATE, signed.json())
        return
    await transaction.work.set_setting(CURRENT, signed.json())
    await transaction.work.set_setting(CANDIDATE, None)
    await remember(transaction.work, signed)
    document = {"digest": digest, "version": signed.charter.version}
    transaction.record("charter.adopted", {**document, "signed": sorted(signed.signatures)})


def _accept(pinned: SignedCharter | None, signed: SignedCharter) -> None:
    if pinned is None:
        accept_first(signed)
    else:
        accept_change(pinned.charter, signed)


def _check_enrolled(charter: Charter, enrolled: Mapping[str, Member]) -> None:
    """Refuse a first charter with members that are not enrolled here under these keys."""
    known = {name: member.key for name, member in enrolled.items()}
    strange = sorted(name for name, key in charter.keys.items() if known.get(name) != key)
    if strange or charter.version != 1:
        raise SecureFlowError(
            "charter_mismatch",
            Text(
                "Charter version {version} was submitted to a centre that has none, and "
                "it names members that are not enrolled here with its keys: {strange}.",
                version=charter.version,
                strange=", ".join(strange) or "none",
            ),
            "Enrol their agents with the keys that they have, then submit version 1.",
            {"missing": strange},
        )


async def _enrolled(work: UnitOfWork) -> dict[str, Member]:
    members: dict[str, Member] = {}
    for agent in await list_readable(work.agents):
        if agent.kind == "agent" and agent.revoked is None:
            organisation = await work.organisations.get(agent.organisation)
            members[organisation.id] = Member(organisation.id, organisation.name, agent.key)
    return members
