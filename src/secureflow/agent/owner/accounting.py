"""The port for privacy accounting that the budgets use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from secureflow.application.ports.accountant import Accountant
from secureflow.engines.privacy import Mechanism
from secureflow.kit.canonical import JSON


class Accounting(Accountant, Protocol):
    """Also computes what was spent (`adapters.accounting.ProcessAccountant`)."""

    async def learn(self, mechanisms: Sequence[Mechanism]) -> None:
        """Compute the mechanisms' Rényi curves for use in this process."""

    async def spent(self, charges: Sequence[Mapping[str, JSON]], delta: float) -> dict[str, JSON]:
        """Return conversion → ε of all charges together."""
