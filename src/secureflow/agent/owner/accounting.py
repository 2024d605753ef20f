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
