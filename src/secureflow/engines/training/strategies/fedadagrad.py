"""FedAdagrad (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2, with β₁ = 0).

v ← v + Δ²; w ← w + η·Δ / (√v + τ), with the mean change Δ and v = τ² before the first round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secureflow.domain.specs.strategies import FedAdagrad
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.stepping import Stepping
from secureflow.engines.training.strategies.strategy import Vector


class Adagrad(Stepping):
    """`Strategy`."""

    kept = 1

    def vector(self, spec: TrainingSpec, place: int, old: Vector, change: Vector) -> Vector:
        """Return the sum of the squares."""
        del spec, place
        return old + change * change

    def step(self, spec: TrainingSpec, new: Sequence[Vector], change: Vector) -> Vector:
        """Take a step that is shorter where changes were large."""
        own = chosen(spec)
        return own.server_learning_rate * change / (np.sqrt(new[0]) + own.tau)


def chosen(spec: TrainingSpec) -> FedAdagrad:
    """Return the strategy's parameters."""
    if not isinstance(spec.plan.strategy, FedAdagrad):
        raise AssertionError  # the registry says so
    return spec.plan.strategy
