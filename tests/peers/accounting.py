"""An accountant in closed form: Rényi divergences of Gaussians without sampling, α/2z²."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.engines.privacy import Mechanism
from secureflow.engines.privacy.accounting import ORDERS, epsilon, learn, parse_charge


class Analytic:
    """Stands in for `ProcessAccountant`, which starts a process and takes seconds."""

    async def learn(self, mechanisms: Sequence[Mechanism]) -> None:
        """Know them."""
        for mechanism in mechanisms:
            learn(mechanism, (ORDERS / (2 * mechanism.noise**2)).tolist())

    async def spent(self, charges: Sequence[Mapping[str, Any]], delta: float) -> dict[str, Any]:
        """Return ε by the two conversions that agents ask for."""
        mechanisms = parse_charge(list(charges))
        await self.learn(mechanisms)
        return {
            "rdp-cks20": epsilon(mechanisms, delta, "rdp-cks20"),
            "rdp-filter": epsilon(mechanisms, delta, "rdp-filter"),
        }
