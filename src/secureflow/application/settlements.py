"""Settlements at the centre: proposed, computed and shown here, decided at the members' agents.

What is shown follows from the jobs' records; each agent computes it again from those that it
verified itself, and signs what it found (`engines.revenue`). A deed that its agent repeats is
answered as before; every one of them is a leaf of the log, whose receipt its signer keeps.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.application.access import Principal, missing, permit, require
from secureflow.application.agreements import lock_of, member_project, seen
from secureflow.application.jobevidence import JobRecords, finished_jobs
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.revenuerecords import ProjectRevenue, StoredSettlement, of_project
from secureflow.application.transactions import Transaction, Transactions
from secureflow.domain.revenue import RevenueRecord
from secureflow.engines.ledger.leaves import parse_leaf
from secureflow.engines.revenue.agreement import SignedAgreement, keys_since
from secureflow.engines.revenue.deeds import CENTRE, Deed, parse_deed
from secureflow.engines.revenue.settlement import (
    MAX_JOBS,
    Settlement,
    computed,
    impossible,
    next_version,
)
from secureflow.engines.revenue.standing import Standing, ancestors, refusal, standing_of
from secureflow.kit.clock import MAX_SKEW, Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

PAGE: Final = 200
"""Deeds in one message to an agent, each with its receipt."""
_UNBINDING: Final = frozenset({"superseded", "void"})
MAX_OWN: Final[Mapping[str, int]] = {"accuse": 8, "pay": 900}
"""Deeds of one kind that one organisation signs in a settlement, where it is not one anyway.

With 256 members that leaves everybody's approval, dispute and confirmation its place among the
5,000 deeds that an agent reads: nobody fills a settlement so that others are not heard in it.
"""


@dataclass(frozen=True)
class Shown:
    """A settlement with everything about it.

    Args:
        stored: what was proposed, and what follows from it.
        agreement: the version by which.
        standing: where it stands.
        deeds: what was signed, with the centre's receipts.
    """

    stored: StoredSettlement
    agreement: SignedAgreement
    standing: Standing
    deeds: Sequence[tuple[Deed, dict[str, Any]]]


class Settlements:
    """Use cases around settlements.

    Args:
        begin, transactions: the database, and changes with their ledger entries.
        records: of jobs.
        key: of the log; it signs that a settlement is closed.
        clock: unix seconds.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        records: JobRecords,
        key: SigningKey,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._records = records
        self._key = key
        self._clock = clock

    async def list(self, principal: Principal, project: str) -> list[Shown]:
        """Return a project's settlements, oldest first."""
        require(principal, "revenue.read")
        async with self._begin() as work:
            await seen(work, principal, project)
            known = await of_project(work, project)
        found = await asyncio.to_thread(_all_shown, known)
        return sorted(found.values(), key=lambda one: (one.stored.settlement.at, _id(one)))

    async def show(self, principal: Principal, key: str) -> Shown:
        """Return a settlement with everything about it (`not_found`)."""
        require(principal, "revenue.read")
        async with self._begin() as work:
            known = await self._of(work, key)
            project = known.settlements[key].settlement.project
            try:
                await seen(work, principal, project)
            except SecureFlowError as error:
                raise missing("settlement", key) from error
        return (await asyncio.to_thread(_all_shown, known))[key]

    async def preview(
        self,
        principal: Principal,
        project: str,
        jobs: Sequence[str] = (),
        entered: int = 0,
        replaces: str = "",
    ) -> Shown:
        """Return what a settlement would be; nothing is stored.

        Args:
            principal: who asks.
            project: its id.
            jobs: their ids; without any, the oldest that succeeded and are in no other settlement.
            entered: minor units beside what the agreement fixes.
            replaces: id of the settlement in whose place it comes.

        Raises:
            SecureFlowError: `not_found`, `agreement_missing`, `settlement_not_possible`,
                `evidence_not_verified`.
        """
        require(principal, "revenue.read")
        async with self._begin() as work:
            await seen(work, principal, project)
            known = await of_project(work, project)
            chosen = list(jobs) or await self._free(work, known, project, replaces)
        return await self._proposed(known, principal, project, chosen, entered, replaces)

    async def open(
        self,
        principal: Principal,
        project: str,
        jobs: Sequence[str] = (),
        entered: int = 0,
        replaces: str = "",
    ) -> Shown:
        """Propose a settlement to the members; arguments and refusals as of `preview`."""
        async with self._begin() as work:
            await permit(work, principal, "settlement.open", project)
            await member_project(work, principal.organisation, project)
        shown = await self.preview(principal, project, jobs, entered, replaces)
        settlement, result = shown.stored.settlement, shown.stored.computed
        async with self._transactions() as transaction:
            work = transaction.work
            await work.lock(lock_of(project))
            _check_free(await of_project(work, project), settlement)
            body = {
                "settlement": settlement.json(), "computed": result.json(), "by": principal.user,
            }  # fmt: skip
            await work.revenue.add(
                RevenueRecord(settlement.id, project, "settlement", settlement.at, body)
            )
            facts = {"project": project, "organisation": principal.organisation}
            document = {**facts, "by": principal.user, "settlement": settlement.id}
            transaction.record("settlement.opened", {**document, "computed": result.digest})
            return transaction.answer(shown)

    async def close(self, principal: Principal, key: str) -> Shown:
        """Close a settlement whose dispute window is over; it is owed from then on.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `settlement_not_possible`.
        """
        async with self._begin() as work:
            record = await work.revenue.find(key)
            project = record.project if record is not None else ""
            await permit(work, principal, "settlement.close", project)
        await self.show(principal, key)
        async with self._transactions() as transaction:
            work = transaction.work
            await member_project(work, principal.organisation, project)
            await work.lock(lock_of(project))
            before = _all_shown(await of_project(work, project))[key]
            if before.standing.closed is not None:
                return transaction.answer(before)
            deed = Deed(
                *("close", project, key, CENTRE, max(self._clock(), before.standing.last)),
                {"computed": before.standing.approved or before.stored.computed.digest},
            ).sign(self._key)
            await self._add(transaction, before, deed)
            return transaction.answer(_all_shown(await of_project(work, project))[key])

    async def tell(self, organisation: str, value: Any) -> dict[str, Any]:
        """Take a deed that a member signed at its agent; return the centre's receipt.

        Raises:
            SecureFlowError: `malformed_settlement`, `not_found`, `settlement_deed_forged`,
                `settlement_differs` for a second one of the same key, `settlement_not_possible`.
        """
        deed = parse_deed(value)
        async with self._transactions() as transaction:
            work = transaction.work
            if deed.organisation != organisation:
                raise missing("settlement", deed.settlement)
            await member_project(work, organisation, deed.project)
            await work.lock(lock_of(deed.project))
            known = await of_project(work, deed.project)
            if deed.settlement not in known.settlements:
                raise missing("settlement", deed.settlement)
            same = next((one for one in known.deeds if one[0].key == deed.key), None)
            if same is not None:
                if same[0].digest != deed.digest:
                    raise differs(deed)
                return transaction.answer(same[1])
            shown = (await asyncio.to_thread(_all_shown, known))[deed.settlement]
            versions = [one.agreement for one in known.agreements.values()]
            deed.check(*keys_since(versions, shown.agreement.agreement, organisation))
            if deed.at > self._clock() + MAX_SKEW:
                raise impossible("it is signed for a later time")
            return transaction.answer(await self._add(transaction, shown, deed))

    async def of_agent(self, organisation: str, project: str) -> Sequence[str]:
        """Return the ids of a project's settlements, for a member's agent."""
        async with self._begin() as work:
            await member_project(work, organisation, project)
            return sorted((await of_project(work, project)).settlements)

    async def told(self, organisation: str, key: str, start: int) -> dict[str, Any]:
        """Return a settlement and a page of its deeds, for a member's agent."""
        async with self._begin() as work:
            known = await self._of(work, key)
            stored = known.settlements[key]
            await member_project(work, organisation, stored.settlement.project)
        own = [one for one in known.deeds if one[0].settlement == key]
        page = own[start : start + PAGE]
        return {
            "settlement": stored.settlement.json(),
            "computed": stored.computed.digest,
            "deeds": [{"deed": deed.json(), "receipt": receipt} for deed, receipt in page],
            "count": len(own),
        }

    async def _of(self, work: UnitOfWork, key: str) -> ProjectRevenue:
        record = await work.revenue.find(key)
        if record is None or record.kind != "settlement":
            raise missing("settlement", key)
        return await of_project(work, record.project)

    async def _add(self, transaction: Transaction, shown: Shown, deed: Deed) -> dict[str, Any]:
        agreement = shown.agreement.agreement
        if reason := refusal(agreement, shown.stored.computed, shown.standing, deed):
            raise impossible(reason)
        if reason := _rewrites(shown, deed, self._clock()):
            raise impossible(reason)
        mine = [one for one, _ in shown.deeds if (one.organisation, one.act) == deed.key[1:3]]
        if len(mine) >= MAX_OWN.get(deed.act, MAX_OWN["pay"]):
            raise impossible("it has too many deeds")
        facts = {"project": deed.project, "organisation": deed.organisation, **deed.json()}
        transaction.record(f"settlement.{deed.act}", facts)
        leaf = transaction.leaves[-1]
        receipt = {
            "leaf": parse_leaf(leaf.data).json(),
            "document": facts,
            "salt": (leaf.salt or b"").hex(),
        }
        record = RevenueRecord(
            *(deed.digest, deed.project, "deed", self._clock(), deed.json()),
            *(deed.settlement, deed.organisation, receipt),
        )
        await transaction.work.revenue.add(record)
        return receipt

    async def _free(
        self, work: UnitOfWork, known: ProjectRevenue, project: str, replaces: str
    ) -> Sequence[str]:
        if replaces in known.settlements:
            return known.settlements[replaces].settlement.jobs
        standing = await asyncio.to_thread(known.standings)
        taken = {
            job
            for key, one in known.settlements.items()
            if standing[key].state not in _UNBINDING
            for job in one.settlement.jobs
        }
        free = [one for one in await finished_jobs(work, project) if one not in taken]
        return free[:MAX_JOBS]

    async def _proposed(
        self,
        known: ProjectRevenue,
        principal: Principal,
        project: str,
        jobs: Sequence[str],
        entered: int,
        replaces: str,
    ) -> Shown:
        if (agreement := known.current) is None:
            raise agreement_missing()
        if replaces and replaces not in known.settlements:
            raise missing("settlement", replaces)
        if not jobs:
            raise impossible("no finished job waits for one")
        every = known.settlements.values()
        settlement = Settlement(
            project=project,
            agreement=agreement.agreement.digest,
            jobs=tuple(sorted(set(jobs))),
            entered=entered,
            version=next_version([one.settlement for one in every], jobs, replaces),
            replaces=replaces,
            at=self._clock(),
            nonce=secrets.token_hex(16),
        )
        _check_free(known, settlement)
        evidence = await self._records.evidence(settlement.jobs, project)
        result = computed(agreement.agreement, settlement, evidence)
        return Shown(
            StoredSettlement(settlement, result, principal.user), agreement, Standing(), ()
        )


def agreement_missing() -> SecureFlowError:
    """Return the refusal for a project without an agreement."""
    return SecureFlowError(
        "agreement_missing",
        "The project has no revenue agreement that its members have signed.",
        "secureflow revenue draft PROJECT, then at each member: secureflow agent revenue sign.",
    )


def differs(deed: Deed) -> SecureFlowError:
    """Return the refusal of a second, different deed of one key."""
    return SecureFlowError(
        "settlement_differs",
        "This organisation has signed another statement of the same kind in this settlement.",
        "The first one stands. secureflow agent settlement show shows it.",
        {"act": deed.act},
    )


def check_free(
    settlement: Settlement, others: dict[str, Settlement], binding: Sequence[str]
) -> None:
    """Refuse a settlement of a job that another one binds, unless it comes in that one's place.

    Args:
        settlement: the new one.
        others: known ones by id.
        binding: ids of those that count.

    Raises:
        SecureFlowError: `settlement_not_possible`.
    """
    known = {**others, settlement.id: settlement}
    before = ancestors(known, settlement.id)
    jobs = set(settlement.jobs)
    for key in binding:
        if key not in before and key != settlement.id and jobs & set(others[key].jobs):
            raise impossible("one of its jobs is in another settlement")
    if settlement.version != next_version(others.values(), jobs, settlement.replaces):
        raise impossible("a settlement of its jobs was opened meanwhile")


def _rewrites(shown: Shown, deed: Deed, now: int) -> str:
    """Return what a deed that is signed for an earlier time would change of what stands; "" none.

    Deeds are judged in the order of their signed times. A slow clock may move the window's begin by
    as much as clocks may differ; it can make no deed that counted count no more. The approval with
    which a window begins is not older than that either: others could dispute nothing before.
    """
    agreement, result = shown.agreement.agreement, shown.stored.computed
    before = shown.standing
    after = standing_of(agreement, result, [*(one for one, _ in shown.deeds), deed])
    if deed.digest in after.ignored:
        return after.ignored[deed.digest]
    if not after.ignored.keys() <= before.ignored.keys():
        return "it is signed for a time before what stands"
    if after.since is None:
        return ""
    if before.since is None:
        late = after.since < now - MAX_SKEW
        return "it was signed too long ago: sign it again" if late else ""
    early = before.since - after.since > MAX_SKEW
    return "it is signed for a time before what stands" if early else ""


def _check_free(known: ProjectRevenue, settlement: Settlement) -> None:
    standing = known.standings()
    others = {key: one.settlement for key, one in known.settlements.items()}
    binding = [key for key in others if standing[key].state not in _UNBINDING]
    check_free(settlement, others, binding)
    if settlement.replaces and standing[settlement.replaces].closed is not None:
        raise impossible("the settlement that it replaces is closed")


def _all_shown(known: ProjectRevenue) -> dict[str, Shown]:
    standing = known.standings()
    deeds: dict[str, list[tuple[Deed, dict[str, Any]]]] = {key: [] for key in known.settlements}
    for deed, receipt in known.deeds:
        deeds[deed.settlement].append((deed, receipt))
    return {
        key: Shown(one, known.agreements[one.settlement.agreement], standing[key], deeds[key])
        for key, one in known.settlements.items()
    }


def _id(shown: Shown) -> str:
    return shown.stored.settlement.id
