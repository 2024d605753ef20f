"""The stage's project with a revenue agreement that its banks signed, and with settlements by it.

The members' agents are played by their keys; what the records of jobs say stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secureflow.engines.revenue.agreement import KIND, Agreement
from secureflow.engines.revenue.deeds import Deed
from secureflow.engines.revenue.evidence import JobEvidence
from tests.stage import BANKS, Stage
from tests.unit.engines.revenue.parts import evidence_of, measured

TERMS: dict[str, Any] = {
    "weights": {"scores": 0, "rows": 0, "participation": 1}, "floor": 0, "rounding": "bank-a",
    "currency": "EUR", "window_days": 0, "payer": "bank-a", "per_job": 1000,
}  # fmt: skip
"""By which a settlement can be closed at once."""


class Records:
    """What every job's record says: all banks took part alike."""

    def __init__(self, project: str) -> None:
        self._project = project

    async def evidence(self, jobs: Sequence[str], project: str) -> list[JobEvidence]:
        assert project == self._project
        parties = {bank: measured(None) for bank in BANKS}
        return [evidence_of(job, parties, project=self._project) for job in jobs]


async def agreed(stage: Stage) -> None:
    """Have the stage's banks sign an agreement, and let its settlements read those records."""
    services, project = stage.services, stage.ids["project"]
    terms = {**TERMS, "entered": False, "unscored": "other_measures", "kinds": []}
    shown = await services.agreements.draft(stage.admin("bank-a"), project, terms, {})
    waiting = shown["candidate"]
    body = Agreement.from_json(waiting["agreement"]).json()
    for bank in BANKS:
        signature = stage.keys[bank].sign(KIND, body)
        await services.agreements.add_signature(bank, project, waiting["digest"], signature)
    services.settlements._records = Records(project)  # type: ignore[assignment]


async def approved(stage: Stage) -> str:
    """Have the banks agree, and approve a settlement of the stage's job; return its id."""
    await agreed(stage)
    settlements = stage.services.settlements
    shown = await settlements.open(stage.admin("bank-a"), stage.ids["project"], [stage.ids["job"]])
    settlement, result = shown.stored.settlement, shown.stored.computed
    for bank in BANKS:
        facts = {"computed": result.digest}
        deed = Deed("approve", settlement.project, settlement.id, bank, stage.now[0], facts)
        await settlements.tell(bank, deed.sign(stage.keys[bank]).json())
    return settlement.id


async def asked_of(name: str, stage: Stage) -> tuple[str, dict[str, Any]]:
    """Return path and body of a request about revenue, with what it needs made."""
    project = f"/projects/{stage.ids['project']}"
    if name == "draft_revenue_agreement":
        return f"{project}/revenue", TERMS
    if name == "open_settlement":
        await agreed(stage)
        return f"{project}/settlements", {"jobs": [stage.ids["job"]]}
    return f"/settlements/{await approved(stage)}/close", {}
