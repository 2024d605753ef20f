"""Revenue agreements at the centre: drafted here, signed at the members' agents.

The centre is a courier, as it is of the charter: each agent checks every signature again, and holds
the members' keys to the charter that it pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from secureflow.application.access import (
    Principal,
    active_project,
    missing,
    permit,
    require,
    sees_work_in,
    visible_project,
)
from secureflow.application.membership import member_keys
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.revenuerecords import candidate_of, of_project
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.projects import Project
from secureflow.domain.revenue import RevenueRecord
from secureflow.engines.revenue.agreement import (
    Agreement,
    SignedAgreement,
    accepted,
    malformed,
    needed,
)
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

TERMS = (
    "weights", "floor", "rounding", "currency", "window_days", "payer", "per_job", "entered",
    "unscored", "kinds",
)  # fmt: skip
"""What whoever drafts a version chooses, beside the quality of each member's data."""


def lock_of(project: str) -> str:
    """Return the name under which changes of a project's revenue are serialised."""
    return f"revenue/{project}"


class Agreements:
    """Use cases around revenue agreements.

    Args:
        begin, transactions: the database, and changes with their ledger entries.
        ledger: whose origin an agreement names.
        clock: unix seconds.
    """

    def __init__(
        self, begin: UnitOfWorkFactory, transactions: Transactions, ledger: Ledger, clock: Clock
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._ledger = ledger
        self._clock = clock

    async def show(self, principal: Principal, project: str) -> dict[str, Any]:
        """Return the version that stands, the one that waits for signatures, and earlier ones."""
        require(principal, "revenue.read")
        async with self._begin() as work:
            await seen(work, principal, project)
            return await self._shown(work, project)

    async def of_agent(self, organisation: str, project: str, version: int) -> dict[str, Any]:
        """Return a version and the one that waits, for a member's agent."""
        async with self._begin() as work:
            await member_project(work, organisation, project)
            known = (await of_project(work, project)).agreements.values()
            waiting = await candidate_of(work, project)
        found = next((one for one in known if one.agreement.version == version), None)
        newest = max((one.agreement.version for one in known), default=0)
        return {
            "agreement": found and found.json(),
            "newest": newest,
            "candidate": waiting and waiting.body,
        }

    async def draft(
        self,
        principal: Principal,
        project: str,
        terms: Mapping[str, Any],
        quality: Mapping[str, int],
    ) -> dict[str, Any]:
        """Draft the next version for the project's members; an older candidate is dropped.

        Args:
            principal: who drafts it.
            project: its id.
            terms: see `TERMS`.
            quality: organisation → agreed quality of its data in per cent; 100 if not named.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `malformed_agreement`, `charter_missing`.
        """
        keys = await member_keys(self._begin)
        async with self._transactions() as transaction:
            work = transaction.work
            await permit(work, principal, "revenue.draft", project)
            found = await active_project(work, principal, project)
            await work.lock(lock_of(project))
            current = (await of_project(work, project)).current
            body = _body(found, keys, terms, quality)
            made = _next(current, {**body, "origin": self._ledger.origin})
            if (waiting := await candidate_of(work, project)) is not None:
                await work.revenue.remove(waiting.id)
            signed = SignedAgreement(made)
            await work.revenue.add(
                RevenueRecord(made.digest, project, "candidate", self._clock(), signed.json())
            )
            facts = {"project": project, "organisation": principal.organisation}
            document = {**facts, "by": principal.user, "version": made.version}
            transaction.record("revenue.drafted", {**document, "agreement": made.digest})
            return transaction.answer(await self._shown(work, project))

    async def add_signature(
        self, organisation: str, project: str, digest: str, signature: str
    ) -> dict[str, Any]:
        """Take a member's signature; a version that enough have signed stands from now on.

        Raises:
            SecureFlowError: `not_found`, `agreement_mismatch`, `agreement_not_signed`.
        """
        async with self._transactions() as transaction:
            work = transaction.work
            await member_project(work, organisation, project)
            await work.lock(lock_of(project))
            record = await work.revenue.find(digest)
            fits = record is not None and record.kind in ("candidate", "agreement")
            if record is None or not fits or record.project != project:
                raise missing("revenue agreement", digest)
            before = SignedAgreement.from_json(record.body)
            known = organisation in before.signatures
            signed = await asyncio.to_thread(before.with_signature, organisation, signature)
            if not known:
                await self._keep(transaction, record, signed, organisation)
            return transaction.answer(await self._shown(work, project))

    async def _keep(
        self,
        transaction: Transaction,
        record: RevenueRecord,
        signed: SignedAgreement,
        organisation: str,
    ) -> None:
        work, project = transaction.work, record.project
        facts = {"project": project, "organisation": organisation, "agreement": record.id}
        transaction.record(
            "revenue.signed", {**facts, "signature": signed.signatures[organisation]}
        )
        kept = replace(record, body=signed.json())
        if record.kind == "candidate":
            current = (await of_project(work, project)).current
            before = None if current is None else current.agreement
            if await asyncio.to_thread(accepted, before, signed):
                kept = replace(kept, kind="agreement", at=self._clock())
                document = {"project": project, "agreement": signed.agreement.json()}
                stands = {**document, "signatures": dict(signed.signatures)}
                transaction.record("revenue.agreed", stands)
        await work.revenue.save(kept)

    async def _shown(self, work: UnitOfWork, project: str) -> dict[str, Any]:
        known = await of_project(work, project)
        current, waiting = known.current, await candidate_of(work, project)
        before = None if current is None else current.agreement
        draft = None if waiting is None else SignedAgreement.from_json(waiting.body)
        versions = sorted(known.agreements.values(), key=lambda one: one.agreement.version)
        return {
            "project": project,
            "current": current and described(current, before=None),
            "candidate": draft and described(draft, before=before, waits=True),
            "earlier": [described(one, before=None) for one in versions[:-1]],
        }


def described(
    signed: SignedAgreement, *, before: Agreement | None, waits: bool = False
) -> dict[str, Any]:
    """Return a signed agreement for people: with its digest, and who must still sign it."""
    agreement = signed.agreement
    must, most = needed(before, agreement) if waits else (frozenset[str](), 0)
    return {
        **signed.json(),
        "digest": agreement.digest,
        "signed": sorted(signed.signatures),
        "must_sign": sorted(must - signed.signatures.keys()),
        "of_the_version_before": most,
    }


async def seen(work: UnitOfWork, principal: Principal, key: str) -> Project:
    """Return a project whose work the caller sees (`not_found`)."""
    project = await visible_project(work, principal, key)
    if not sees_work_in(principal, project):
        raise missing("project", key)
    return project


async def member_project(work: UnitOfWork, organisation: str, key: str) -> Project:
    """Return a project of which an organisation is a member (`not_found`).

    One that left it still signs what it was part of.
    """
    project = await work.projects.find(key)
    if project is None or not any(one.organisation == organisation for one in project.members):
        raise missing("project", key)
    return project


def _body(
    project: Project, keys: Mapping[str, str], terms: Mapping[str, Any], quality: Mapping[str, int]
) -> dict[str, Any]:
    names = sorted(one.organisation for one in project.members if one.state == "active")
    if absent := [one for one in names if one not in keys]:
        raise SecureFlowError(
            "charter_missing",
            "The adopted charter does not name every member of the project.",
            "The operator drafts a charter with them: secureflow charter draft.",
            {"missing": absent},
        )
    if set(terms) != set(TERMS):
        raise malformed(", ".join(sorted(set(terms) ^ set(TERMS))))
    if not set(quality) <= set(names):
        raise malformed("quality")
    members = [
        {"organisation": one, "key": keys[one], "quality": quality.get(one, 100)} for one in names
    ]
    return {**terms, "v": 1, "project": project.id, "members": members}


def _next(current: SignedAgreement | None, body: Mapping[str, Any]) -> Agreement:
    before = None if current is None else current.agreement
    number = {
        "version": 1 if before is None else before.version + 1,
        "previous": "" if before is None else before.digest,
    }
    return Agreement.from_json({**body, **number})
