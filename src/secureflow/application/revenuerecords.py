"""Reads and keeps the centre's records of revenue, within one unit of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secureflow.application.listing import list_complete
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.revenue import RevenueRecord
from secureflow.engines.revenue.agreement import Agreement, SignedAgreement
from secureflow.engines.revenue.deeds import Deed, parse_deed
from secureflow.engines.revenue.settlement import Computed, Settlement
from secureflow.engines.revenue.standing import Standing, standings


@dataclass(frozen=True)
class StoredSettlement:
    """A settlement as the centre stores it; `by` is the user who opened it."""

    settlement: Settlement
    computed: Computed
    by: str


@dataclass(frozen=True)
class ProjectRevenue:
    """Everything of one project.

    Args:
        agreements: the versions that stand or stood, by digest.
        settlements: by id.
        deeds: of all settlements, oldest first, with the centre's receipts.
    """

    agreements: Mapping[str, SignedAgreement]
    settlements: Mapping[str, StoredSettlement]
    deeds: Sequence[tuple[Deed, dict[str, Any]]]

    @property
    def current(self) -> SignedAgreement | None:
        """The newest version."""
        versions = sorted(self.agreements.values(), key=lambda one: one.agreement.version)
        return versions[-1] if versions else None

    def standings(self) -> dict[str, Standing]:
        """Return where each settlement stands."""
        known: dict[str, Agreement] = {key: one.agreement for key, one in self.agreements.items()}
        return standings(
            known,
            [one.settlement for one in self.settlements.values()],
            [deed for deed, _ in self.deeds],
            {key: one.computed for key, one in self.settlements.items()},
        )


async def of_project(work: UnitOfWork, project: str) -> ProjectRevenue:
    """Return a project's revenue; one damaged record is an error, not left out."""
    listed = await list_complete(work.revenue, project=project)
    found = sorted(listed, key=lambda one: (one.at, one.id))
    agreements = {
        one.id: SignedAgreement.from_json(one.body) for one in found if one.kind == "agreement"
    }
    settlements = {one.id: _settlement(one) for one in found if one.kind == "settlement"}
    deeds = [(parse_deed(one.body), one.receipt) for one in found if one.kind == "deed"]
    return ProjectRevenue(agreements, settlements, deeds)


async def candidate_of(work: UnitOfWork, project: str) -> RevenueRecord | None:
    """Return the version that waits for signatures, if there is one."""
    found = await list_complete(work.revenue, project=project, kind="candidate")
    return next(iter(found), None)


def _settlement(record: RevenueRecord) -> StoredSettlement:
    body = record.body
    settlement = Settlement.from_json(body["settlement"])
    return StoredSettlement(settlement, Computed.from_json(body["computed"]), str(body["by"]))
