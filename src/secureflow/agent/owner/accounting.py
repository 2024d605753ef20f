"""The port for privacy accounting that the budgets use, and a job's own ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from secureflow.application.ports.accountant import Accountant
from secureflow.domain.specs.partforms import PrivacyPart
from secureflow.engines.privacy import Charge, Mechanism, epsilon
from secureflow.engines.privacy.accounting import learned
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Accounting(Accountant, Protocol):
    """Also computes what was spent (`adapters.accounting.ProcessAccountant`)."""

    async def learn(self, mechanisms: Sequence[Mechanism]) -> None:
        """Compute the mechanisms' Rényi curves for use in this process."""

    async def spent(self, charges: Sequence[Mapping[str, JSON]], delta: float) -> dict[str, JSON]:
        """Return conversion → ε of all charges together."""


def check_ceiling(job: str, privacy: PrivacyPart, wanted: Charge) -> None:
    """Refuse a job that costs more than it names.

    Raises:
        SecureFlowError: `contradictory_spec`.
    """
    cost = epsilon(wanted, privacy.delta)
    if privacy.epsilon is not None and cost > privacy.epsilon:
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "Job {job} costs ε = {cost:.4g}, more than the {epsilon:g} it names.",
                job=job,
                cost=cost,
                epsilon=privacy.epsilon,
            ),
            "The spec names too small a cost: do not approve.",
            {"field": "privacy.epsilon"},
        )


def kept_epsilon(state: str | None, charge: Charge, delta: float) -> float | None:
    """Return ε of what a settled reservation is charged; None where that is not known here.

    A job that starts others is charged by these, and its own figure stays what was reserved.

    Args:
        state: the reservation's (`BudgetLedger.state_of`).
        charge: of the rounds that read rows.
        delta: the owner's.
    """
    if state in {None, "voided"}:
        return 0.0
    known = bool(charge) and state == "committed" and all(map(learned, charge))
    return epsilon(charge, delta) if known else None


def composed(charges: Charge, delta: float) -> float | None:
    """Return ε of charges together, by `rdp-filter`; None where that takes long to compute."""
    if not charges:
        return 0.0
    return epsilon(charges, delta, "rdp-filter") if all(map(learned, charges)) else None


def row_count_private(organisation: str, dataset: str) -> SecureFlowError:
    """Return the refusal of statistics that tell how many rows a dataset has."""
    return SecureFlowError(
        "row_count_private",
        Text(
            "{organisation} does not reveal how many rows {name} has, and "
            "statistics with local noise do.",
            organisation=organisation,
            name=dataset,
        ),
        'Ask with noise "shared" or "party", or ask the owner for `tells_rows: true`.',
        {"dataset": dataset},
    )


def privacy_required(organisation: str, dataset: str) -> SecureFlowError:
    """Return the refusal of a job without differential privacy on data that has a budget."""
    return SecureFlowError(
        "privacy_required",
        Text(
            "{organisation} allows {name} only in jobs with differential "
            "privacy: its budget would mean nothing otherwise.",
            organisation=organisation,
            name=dataset,
        ),
        "Add a privacy section to the job.",
        {"dataset": dataset},
    )
