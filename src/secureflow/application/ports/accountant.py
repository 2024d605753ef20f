"""The cost of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy is loaded with the first job: an idle server stays small
    from secureflow.engines.privacy.accounting import Charge


class Accountant(Protocol):
    """Computes the cost of noise (`adapters.accounting`)."""

    async def quote(
        self,
        *,
        delta: float,
        sampling: float,
        count: int,
        noise: float | None = None,
        epsilon: float | None = None,
        besides: Charge = (),
    ) -> dict[str, JSON]:
        """Return `noise`, `epsilon` by conversion, and the Rényi `curve` of one release."""

    async def fit(
        self, charges: Sequence[Mapping[str, JSON]], delta: float, epsilon: float | None = None
    ) -> dict[str, JSON]:
        """Return `noise`, the least factor on the charges' noise within (ε, δ), and `epsilon`."""
