"""The port for privacy accounting that the budgets use, and a job's own ceiling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from secureflow.application.ports.accountant import Accountant
from secureflow.domain.specs.partforms import PrivacyPart
from secureflow.engines.privacy import Charge, Mechanism, epsilon
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
