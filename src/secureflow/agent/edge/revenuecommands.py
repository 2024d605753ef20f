"""The owner's commands about revenue agreements and settlements, over the control socket.

The centre carries agreements and deeds; what is signed was read and computed here. A refusal that
an honest centre never causes is kept with its evidence, and signed as an accusation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.owner.settlements import Judged, ShownSettlement
from secureflow.agent.verbs.accusations import keep_evidence
from secureflow.agent.verbs.jobrecords import verified_records
from secureflow.domain.revenueerrors import ACCUSING
from secureflow.engines.revenue.agreement import Agreement, SignedAgreement
from secureflow.engines.revenue.deeds import Deed, parse_deed
from secureflow.engines.revenue.settlement import (
    Computed,
    Settlement,
    computed,
    malformed,
)
from secureflow.kit.canonical import JSON, canonical_bytes, sha256
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger

MAX_SETTLEMENTS: Final = 10_000
MAX_DEEDS: Final = 5000
_REFUSALS: Final = frozenset(
    {
        "malformed_settlement",
        "not_found",
        "settlement_deed_forged",
        "settlement_differs",
        "settlement_not_possible",
    }
)
"""How a centre says that it does not take a deed; after any other error it may have taken it."""
_log = get_logger(__name__)


class Calling(Protocol):
    """The link to the centre (`adapters.link.Link`)."""

    async def call(self, kind: str, body: dict[str, JSON]) -> JSON:
        """Call the centre."""


@dataclass(frozen=True)
class RevenueCommands:
    """The commands, over a running agent.

    Args:
        assembly: the agent.
        link: to the centre.
        turn: one decision after the other.
    """

    assembly: Assembly
    link: Calling
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "revenue.list": self.projects,
            "revenue.show": self.agreement,
            "revenue.sign": self.sign,
            "settlement.list": self.every,
            "settlement.show": self.show,
            "settlement.approve": self.approve,
            "settlement.dispute": self.dispute,
            "settlement.withdraw": self.withdraw,
            "settlement.pay": self.pay,
            "settlement.confirm": self.confirm,
        }

    async def projects(self) -> list[JSON]:
        """Return the projects with an agreement pinned or signed here; nobody is asked."""
        return list(await asyncio.to_thread(self.assembly.agreements.projects))

    async def agreement(self, project: str) -> dict[str, JSON]:
        """Return the pinned versions of a project's agreement, and the one to sign next."""
        candidate = await self._agreements_of(project)
        pinned = await asyncio.to_thread(self.assembly.agreements.pinned, project)
        return {
            "project": project,
            "pinned": [_described(one) for one in pinned],
            "candidate": candidate and _described(candidate),
        }

    async def sign(self, project: str, confirm: str) -> dict[str, JSON]:
        """Sign the version that waits; `confirm` is its digest, as a person enters it."""
        async with self.turn:
            candidate = await self._agreements_of(project)
            if candidate is None:
                raise SecureFlowError(
                    "agreement_missing",
                    "No revenue agreement of this project waits for a signature.",
                    "A lead of the project drafts one: secureflow revenue draft.",
                )
            own = self.assembly.agreements
            body = await asyncio.to_thread(own.sign, project, candidate, confirm)
            await self.link.call("revenue.sign", body)
            await self._agreements_of(project)
            return body

    async def every(self, project: str) -> list[dict[str, JSON]]:
        """Return a project's settlements and where they stand by what was checked here."""
        judged = await self._judged(project)
        for one in judged.values():
            await asyncio.to_thread(self.assembly.settlements.hand_over, one)
        return [_line(one) for one in judged.values()]

    async def show(self, settlement: str, project: str = "") -> dict[str, JSON]:
        """Return a settlement as this agent computes it from records that it verified."""
        judged = await self._judged(await self._project(settlement, project))
        one = _one(judged, settlement)
        result = await self._computed(one)
        return {**_line(one), "computed": result.json(), "digest": result.digest,
                "centre": one.shown.computed, **_details(one, result)}  # fmt: skip

    async def approve(self, settlement: str, confirm: str, project: str = "") -> dict[str, JSON]:
        """Sign the amounts that this agent computed; `confirm` is their digest."""
        async with self.turn:
            judged = await self._judged(await self._project(settlement, project))
            one = _one(judged, settlement)
            result = await self._computed(one)
            own = self.assembly.settlements
            deed = await asyncio.to_thread(own.approve, judged, settlement, result, confirm)
            return await self._told(one, deed)

    async def dispute(self, settlement: str, reason: str, project: str = "") -> dict[str, JSON]:
        """Sign a dispute; the reason stays here. It needs no record: that may be what is wrong."""
        async with self.turn:
            one = _one(await self._judged(await self._project(settlement, project)), settlement)
            if one.kept.computed is None:
                try:
                    await self._computed(one)
                except InfrastructureError:
                    raise
                except SecureFlowError as error:
                    _log.warning("disputed_unverified", settlement=settlement, code=error.code)
            deed = await asyncio.to_thread(self.assembly.settlements.dispute, one, reason)
            return await self._told(one, deed)

    async def withdraw(self, settlement: str, project: str = "") -> dict[str, JSON]:
        """Sign that the dispute is taken back."""
        async with self.turn:
            one = _one(await self._judged(await self._project(settlement, project)), settlement)
            deed = await asyncio.to_thread(self.assembly.settlements.withdraw, one)
            return await self._told(one, deed)

    async def pay(
        self, settlement: str, payee: str, amount: int, reference: str, project: str = ""
    ) -> dict[str, JSON]:
        """Sign that a payment was made; its reference stays here."""
        async with self.turn:
            one = await self._with_amounts(settlement, project)
            own = self.assembly.settlements
            deed = await asyncio.to_thread(own.pay, one, payee, amount, reference)
            return await self._told(one, deed)

    async def confirm(
        self, settlement: str, payer: str, reference: str, project: str = ""
    ) -> dict[str, JSON]:
        """Sign that a payment arrived; `reference` is the commitment that the payer signed."""
        async with self.turn:
            one = await self._with_amounts(settlement, project)
            own = self.assembly.settlements
            deed = await asyncio.to_thread(own.confirm, one, payer, reference)
            return await self._told(one, deed)

    async def exchange(self) -> None:
        """Tell the centre what it has not received, and judge what it shows, of every project.

        Raises:
            SecureFlowError: of the link; refusals are kept and accused.
        """
        for project in await asyncio.to_thread(self.assembly.agreements.projects):
            try:
                async with self.turn:
                    judged = await self._judged(project)
                    for one in judged.values():
                        # First: the centre may answer nothing, or refuse what a place takes.
                        await asyncio.to_thread(self.assembly.settlements.hand_over, one)
                        for deed in one.kept.untold:
                            await self._told(one, deed)
            except InfrastructureError:
                raise
            except SecureFlowError as error:
                _log.warning("settlements_not_judged", project=project, code=error.code)

    async def _project(self, settlement: str, project: str) -> str:
        """Return the project of a settlement; one that was named is taken as it is."""
        known = await asyncio.to_thread(self.assembly.agreements.projects)
        for one in () if project else known:
            answer = await self.link.call("settlement.list", {"project": one})
            listed = answer.get("settlements") if isinstance(answer, dict) else None
            if isinstance(listed, list) and settlement in listed:
                return one
        if not project:
            raise _not_shown()
        return project

    async def _with_amounts(self, settlement: str, project: str = "") -> Judged:
        """Return a settlement whose amounts were computed here, as payments need them."""
        project = await self._project(settlement, project)
        one = _one(await self._judged(project), settlement)
        if one.kept.computed is None:
            await self._computed(one)
            one = _one(await self._judged(project), settlement)
        return one

    async def _told(self, one: Judged, deed: Deed) -> dict[str, JSON]:
        """Tell the centre a deed that is kept here; a repeated one is answered as before."""
        own, key = self.assembly.settlements, one.shown.settlement.id
        try:
            answer = await self.link.call("settlement.tell", {"deed": deed.json()})
        except SecureFlowError as error:
            if error.code in _REFUSALS:  # whatever else: it is told again (`exchange`)
                await asyncio.to_thread(own.note_refused, key, deed, error.message)
            raise
        receipt = answer.get("receipt") if isinstance(answer, dict) else None
        await asyncio.to_thread(own.note_told, key, deed, receipt)
        project = one.shown.settlement.project
        now = _one(await self._judged(project), key)
        await asyncio.to_thread(own.hand_over, now)
        return {"deed": deed.json(), "state": now.standing.state}

    async def _agreements_of(self, project: str) -> SignedAgreement | None:
        """Pin what enough members signed; return the version that waits for signatures."""
        own, version, waiting = self.assembly.agreements, 1, None
        try:
            while True:
                body: dict[str, JSON] = {"project": project, "version": version}
                answer = await self.link.call("revenue.get", body)
                shown = answer if isinstance(answer, dict) else {}
                if (value := shown.get("candidate")) is not None:
                    waiting = SignedAgreement.from_json(value)
                if (value := shown.get("agreement")) is None:
                    return waiting
                signed = SignedAgreement.from_json(value)
                if not await asyncio.to_thread(own.take, project, signed):
                    return signed
                version += 1
        except SecureFlowError as error:
            await self._accuse(None, error)
            raise

    async def _judged(self, project: str) -> dict[str, Judged]:
        await self._agreements_of(project)
        answer = await self.link.call("settlement.list", {"project": project})
        listed = answer.get("settlements") if isinstance(answer, dict) else None
        if not isinstance(listed, list) or len(listed) > MAX_SETTLEMENTS:
            raise malformed("settlements")
        shown = [await self._shown(str(one)) for one in listed]
        try:
            return await asyncio.to_thread(self.assembly.settlements.judge, project, shown)
        except SecureFlowError as error:
            await self._accuse(_accused(shown, error), error)
            raise

    async def _shown(self, key: str) -> ShownSettlement:
        """Read a settlement with all its deeds, page by page."""
        deeds: list[Deed] = []
        while True:
            body: dict[str, JSON] = {"settlement": key, "start": len(deeds)}
            answer = await self.link.call("settlement.get", body)
            value: dict[str, Any] = answer if isinstance(answer, dict) else {}
            settlement = Settlement.from_json(value.get("settlement"))
            if settlement.id != key:
                raise malformed("settlement")
            page, count = value.get("deeds"), value.get("count")
            if not isinstance(page, list) or type(count) is not int or count > MAX_DEEDS:
                raise malformed("deeds")
            for one in page:
                deed = parse_deed(one.get("deed") if isinstance(one, dict) else None)
                if (deed.settlement, deed.project) != (key, settlement.project):
                    raise malformed("deeds")
                deeds.append(deed)
            if len(deeds) >= count or not page:
                return ShownSettlement(settlement, tuple(deeds), str(value.get("computed", "")))

    async def _computed(self, one: Judged) -> Computed:
        context, settlement = self.assembly.context, one.shown.settlement
        own = self.assembly.settlements
        try:
            records = await verified_records(context, self.link.call, settlement.jobs)
            result = computed(one.agreement, settlement, records)
            own.check_computed(one, result)
        except SecureFlowError as error:
            await self._accuse(settlement, error)
            raise
        await asyncio.to_thread(own.note_computed, one, result)
        return result

    async def _accuse(self, settlement: Settlement | None, error: SecureFlowError) -> None:
        """Keep the evidence of a refusal that proves cheating, and sign it."""
        if error.code not in ACCUSING:
            return
        context = self.assembly.context
        evidence = canonical_bytes(error.as_json())
        name = sha256(evidence).hex()
        await asyncio.to_thread(keep_evidence, context.settings.evidence, name, evidence)
        _log.error("accusation", code=error.code, message=error.message)
        await asyncio.to_thread(self._note, error.code)
        if settlement is None:
            return
        own = self.assembly.settlements
        deed = await asyncio.to_thread(own.accuse, settlement, error.code, name)
        error.details["accusation"] = deed.json()
        try:
            answer = await self.link.call("settlement.tell", {"deed": deed.json()})
        except SecureFlowError as refused:  # it is kept here, with its evidence
            _log.warning("accusation_not_told", code=refused.code)
            return
        receipt = answer.get("receipt") if isinstance(answer, dict) else None
        await asyncio.to_thread(own.note_told, settlement.id, deed, receipt)

    def _note(self, code: str) -> None:
        context = self.assembly.context
        with context.store.transaction():
            context.store.note(context.clock(), "accused", "", code=code)


def _accused(shown: list[ShownSettlement], error: SecureFlowError) -> Settlement | None:
    """Return the settlement that an error's deed names."""
    deed = error.details.get("deed")
    statement = deed.get("statement") if isinstance(deed, dict) else None
    named = statement.get("settlement") if isinstance(statement, dict) else ""
    return next((one.settlement for one in shown if one.settlement.id == named), None)


def _one(judged: Mapping[str, Judged], key: str) -> Judged:
    if key not in judged:
        raise _not_shown()
    return judged[key]


def _not_shown() -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        "The centre shows no such settlement of a project whose agreement is pinned here.",
        "Give the whole id, all 64 characters: secureflow agent settlement list PROJECT.",
    )


def _described(signed: SignedAgreement) -> dict[str, JSON]:
    agreement: Agreement = signed.agreement
    return {
        **signed.json(),
        "digest": agreement.digest,
        "signed": sorted(signed.signers(agreement.keys)),
    }


def _line(one: Judged) -> dict[str, JSON]:
    settlement, standing = one.shown.settlement, one.standing
    return {
        "id": settlement.id,
        "version": settlement.version,
        "replaces": settlement.replaces,
        "jobs": list(settlement.jobs),
        "entered": settlement.entered,
        "state": standing.state,
        "approvals": sorted(standing.approvals),
        "needed": one.agreement.quorum,
        "disputes": sorted(standing.disputes),
        "withdrawn": sorted(standing.withdrawn),
        "since": standing.since,
        "closes": standing.closes,
        "closed": standing.closed,
    }


def _details(one: Judged, result: Computed) -> dict[str, JSON]:
    agreement, standing = one.agreement, one.standing
    payments: list[JSON] = [
        {
            "payer": payment.pay.organisation,
            "payee": payment.pay.facts["payee"],
            "amount": payment.pay.facts["amount"],
            "reference": payment.pay.facts["reference"],
            "confirmed": payment.confirm is not None,
        }
        for payment in standing.payments.values()
    ]
    return {
        "currency": agreement.currency,
        "payer": agreement.payer,
        "owed": dict(result.owed(agreement.payer)),
        "payments": payments,
        "accusations": [
            {"by": one.organisation, "code": one.facts["code"]} for one in standing.accusations
        ],
    }
