"""FedAdam (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2).

m ← β₁·m + (1 − β₁)·Δ; v ← β₂·v + (1 − β₂)·Δ²; w ← w + η·m / (√v + τ), with the mean change Δ, and
v = τ² before the first round. There is no bias correction, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secureflow.domain.specs.strategies import FedAdam, FedYogi
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.stepping import Stepping
from secureflow.engines.training.strategies.strategy import Vector


class Adam(Stepping):
    """`Strategy`."""

    kept = 2

    def vector(self, spec: TrainingSpec, place: int, old: Vector, change: Vector) -> Vector:
        """Return the momentum, or the second moment."""
        own = chosen(spec)
        if place == 0:
            return own.beta1 * old + (1.0 - own.beta1) * change
        return self.second(own.beta2, old, change * change)

    def step(self, spec: TrainingSpec, new: Sequence[Vector], change: Vector) -> Vector:
        """Take a step along the momentum that is shorter where changes are large."""
        del change
        own = chosen(spec)
        return own.server_learning_rate * new[0] / (np.sqrt(new[1]) + own.tau)

    def second(self, beta2: float, old: Vector, square: Vector) -> Vector:
        """Return the next second moment."""
        return beta2 * old + (1.0 - beta2) * square


def chosen(spec: TrainingSpec) -> FedAdam | FedYogi:
    """Return the strategy's parameters."""
    if not isinstance(spec.plan.strategy, FedAdam | FedYogi):
        raise AssertionError  # the registry says so
    return spec.plan.strategy
