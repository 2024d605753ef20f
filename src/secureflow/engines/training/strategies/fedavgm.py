"""FedAvgM (Hsu, Qi and Brown 2019, "Measuring the Effects of Non-Identical Data Distribution").

v ← β·v + Δ; w ← w + η·v, with the mean change Δ.
"""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.domain.specs.strategies import FedAvgM
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.stepping import Stepping
from secureflow.engines.training.strategies.strategy import Vector


class Momentum(Stepping):
    """`Strategy`."""

    kept = 1

    def vector(self, spec: TrainingSpec, place: int, old: Vector, change: Vector) -> Vector:
        """Return the momentum."""
        del place
        return chosen(spec).momentum * old + change

    def step(self, spec: TrainingSpec, new: Sequence[Vector], change: Vector) -> Vector:
        """Go along the momentum."""
        del change
        return chosen(spec).server_learning_rate * new[0]


def chosen(spec: TrainingSpec) -> FedAvgM:
    """Return the strategy's parameters."""
    if not isinstance(spec.plan.strategy, FedAvgM):
        raise AssertionError  # the registry says so
    return spec.plan.strategy
