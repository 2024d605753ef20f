"""Accountants that start no process, which costs a second for each question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.adapters.accounting.process import answer, exact
from secureflow.engines.privacy import Mechanism
from secureflow.engines.privacy.accounting import ORDERS, epsilon, learn, parse_charge


class InlineAccountant(ProcessAccountant):
    """The accountant without its process, whose limits `tests/contract/accounting` shows."""

    async def _run(self, line: bytes) -> dict[str, Any]:
        first = answer(line)
        return first if "error" in first else exact(line, first) or first


class Analytic:
    """Closed forms alone: Rényi divergences of Gaussians without sampling, α/2z²."""

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
