"""Agreements and settlements: what this organisation signs about money, as its agent computed it.

What is sent back is the digest of what was shown: the agent signs that and nothing else, also if
the centre shows something else meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.projects import KnownProject, known_projects
from secureflow.agent.console.screens.settlements import (
    OwnRevenue,
    OwnSettlement,
    SettlementRow,
    revenue_of,
    rows_of,
    settlement_of,
)
from secureflow.domain.specs.base import STRICT
from secureflow.engines.revenue.agreement import MAX_AMOUNT
from secureflow.engines.revenue.deeds import MAX_REFERENCE
from secureflow.kit.reading import listed

COMPUTING: Final = 110.0
"""Seconds to wait where records of jobs are fetched, verified and computed with."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Party = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Line = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE)]
_PROJECT: Final = {"project": r"prj_[0-9a-z]{1,40}"}
_SETTLEMENT: Final = _PROJECT | {"settlement": r"[0-9a-f]{64}"}
_AT: Final = "/revenue/{project}/settlements/{settlement}"


@dataclass(frozen=True)
class RevenueProjects:
    """The projects that may have an agreement: those with one here, and those that were met."""

    projects: tuple[KnownProject, ...]


@dataclass(frozen=True)
class OwnSettlements:
    """A project's settlements."""

    settlements: tuple[SettlementRow, ...]


@dataclass(frozen=True)
class Agreed:
    """The digest of what was shown and read."""

    __pydantic_config__ = STRICT
    digest: Digest


@dataclass(frozen=True)
class Disputing:
    """Why; others see a commitment to it, the text stays at this agent."""

    __pydantic_config__ = STRICT
    reason: Line


@dataclass(frozen=True)
class Paying:
    """A payment that was made outside of the platform; its reference stays at this agent."""

    __pydantic_config__ = STRICT
    payee: Party
    amount: Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
    reference: Line


@dataclass(frozen=True)
class Receiving:
    """The payer's payment, by the commitment that the payer signed."""

    __pydantic_config__ = STRICT
    payer: Party
    reference: Digest


async def projects(call: Call) -> RevenueProjects:
    """Return the projects; nobody but this agent is asked."""
    pinned, grants, asked, stopped = await asyncio.gather(
        call.visit.ask("revenue.list"),
        call.visit.ask("grant.list"),
        call.visit.ask("inbox.list", waiting=False),
        call.visit.ask("stop.list"),
    )
    met = {one.id: one for one in known_projects(grants, asked, stopped)}
    own = {str(one): KnownProject(str(one)) for one in listed(pinned)}
    every = own | met
    return RevenueProjects(tuple(every[one] for one in sorted(every)))


async def show(call: Call) -> OwnRevenue:
    """Return the agreement that is pinned here, and the one to sign."""
    found = await call.visit.ask("revenue.show", COMPUTING, project=call.named("project"))
    return revenue_of(found, _own(call))


async def sign(call: Call) -> OwnRevenue:
    """Sign the version that was shown."""
    named = {"project": call.named("project"), "confirm": call.body.digest}
    await call.visit.ask("revenue.sign", COMPUTING, **named)
    return await show(call)


async def every(call: Call) -> OwnSettlements:
    """Return where a project's settlements stand by what was checked here."""
    found = await call.visit.ask("settlement.list", COMPUTING, project=call.named("project"))
    return OwnSettlements(rows_of(found))


async def settlement(call: Call) -> OwnSettlement:
    """Return a settlement as it is computed here."""
    return settlement_of(await _asked(call, "show"), _own(call))


async def approve(call: Call) -> OwnSettlement:
    """Sign the amounts that were shown."""
    await _asked(call, "approve", confirm=call.body.digest)
    return await settlement(call)


async def dispute(call: Call) -> OwnSettlement:
    """Sign a dispute."""
    await _asked(call, "dispute", reason=call.body.reason.strip())
    return await settlement(call)


async def withdraw(call: Call) -> OwnSettlement:
    """Sign that the dispute is taken back."""
    await _asked(call, "withdraw")
    return await settlement(call)


async def pay(call: Call) -> OwnSettlement:
    """Sign that a payment was made."""
    sent = call.body
    facts = {"payee": sent.payee, "amount": sent.amount, "reference": sent.reference.strip()}
    await _asked(call, "pay", **facts)
    return await settlement(call)


async def confirm(call: Call) -> OwnSettlement:
    """Sign that a payment arrived."""
    await _asked(call, "confirm", payer=call.body.payer, reference=call.body.reference)
    return await settlement(call)


async def _asked(call: Call, what: str, **facts: Any) -> Any:
    named = {one: call.named(one) for one in ("project", "settlement")}
    return await call.visit.ask(f"settlement.{what}", COMPUTING, **named, **facts)


def _own(call: Call) -> str:
    return str(call.visit.welcome.get("organisation", ""))


OPERATIONS: Final = (
    Operation(
        "revenueProjects", "GET", "/revenue", projects, RevenueProjects,
        about="The projects that may have a revenue agreement.",
    ),
    Operation(
        "revenue", "GET", "/revenue/{project}", show, OwnRevenue, patterns=_PROJECT,
        about="A project's agreement: the version that is pinned here, and the one to sign.",
    ),
    Operation(
        "signAgreement", "POST", "/revenue/{project}/sign", sign, OwnRevenue, Agreed,
        need="owner-admin", patterns=_PROJECT,
        about="Sign exactly the version that was shown.",
    ),
    Operation(
        "settlements", "GET", "/revenue/{project}/settlements", every, OwnSettlements,
        patterns=_PROJECT, about="A project's settlements by what was checked here.",
    ),
    Operation(
        "settlement", "GET", _AT, settlement, OwnSettlement, patterns=_SETTLEMENT,
        about="A settlement, computed here from records that were verified here.",
    ),
    Operation(
        "approveSettlement", "POST", f"{_AT}/approve", approve, OwnSettlement, Agreed,
        need="owner-admin", patterns=_SETTLEMENT,
        about="Sign exactly the amounts that were shown.",
    ),
    Operation(
        "disputeSettlement", "POST", f"{_AT}/dispute", dispute, OwnSettlement, Disputing,
        need="owner-admin", patterns=_SETTLEMENT,
        about="Sign a dispute: nothing is owed while it is open.",
    ),
    Operation(
        "withdrawDispute", "POST", f"{_AT}/withdraw", withdraw, OwnSettlement,
        need="owner-admin", patterns=_SETTLEMENT,
        about="Sign that the own dispute is taken back, for good.",
    ),
    Operation(
        "payMember", "POST", f"{_AT}/pay", pay, OwnSettlement, Paying,
        need="owner-admin", patterns=_SETTLEMENT,
        about="Sign that a payment was made outside of the platform.",
    ),
    Operation(
        "confirmPayment", "POST", f"{_AT}/confirm", confirm, OwnSettlement, Receiving,
        need="owner-admin", patterns=_SETTLEMENT,
        about="Sign that a payment arrived.",
    ),
)  # fmt: skip
