"""What is told of the price of a differentially private job, and when it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CEILING: Final = "rdp-cks20"
"""The conversion by which `privacy.epsilon` is a target and a ceiling."""


class Capped(Protocol):
    """What a request says of its privacy, whatever the kind of job."""

    @property
    def delta(self) -> float:
        """δ of the job."""

    @property
    def epsilon(self) -> float | None:
        """The most that it may cost; None for no ceiling."""


def epsilon_notes(epsilon: Mapping[str, JSON]) -> Iterator[str]:
    """Yield notes for people about the figures (conversion → ε)."""
    if epsilon["pld"] is None:
        yield (
            Text(
                "ε by privacy loss distribution was left out: with so little noise, or so"
                " many releases, it is too large to compute. ε by {ceiling} is an upper "
                "bound.",
                ceiling=CEILING,
            )
        )


def check_ceiling(privacy: Capped, cost: float) -> None:
    """Refuse a job that costs more than it says.

    Raises:
        SecureFlowError: `contradictory_spec`.
    """
    if privacy.epsilon is not None and cost > privacy.epsilon:
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "privacy.noise_multiplier: the job costs ε = {cost:.4g} ({ceiling}) at δ "
                "= {delta:g}, more than its ceiling of {epsilon:g}.",
                cost=cost,
                ceiling=CEILING,
                delta=privacy.delta,
                epsilon=privacy.epsilon,
            ),
            "Leave privacy.noise_multiplier out to have it calibrated, or raise privacy.epsilon.",
            {"field": "privacy.noise_multiplier"},
        )
