"""What the budgets need to know of privacy accounting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from secureflow.application.ports.accountant import Accountant
from secureflow.engines.privacy import Mechanism
from secureflow.kit.canonical import JSON


class Accounting(Accountant, Protocol):
    """Also says what was spent (`adapters.accounting.ProcessAccountant`)."""

    async def learn(self, mechanisms: Sequence[Mechanism]) -> None:
        """Make this process know the mechanisms' Rényi curves."""

    async def spent(self, charges: Sequence[Mapping[str, JSON]], delta: float) -> dict[str, JSON]:
        """Return conversion → ε of the charges together."""
