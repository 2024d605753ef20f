"""FedYogi (Reddi et al. 2021, "Adaptive Federated Optimization", Algorithm 2).

As FedAdam, with v ← v − (1 − β₂)·Δ²·sign(v − Δ²): the second moment moves by the same amount
whichever is larger, so that it does not forget large changes at once.
"""

from __future__ import annotations

import numpy as np

from secureflow.engines.training.strategies.fedadam import Adam
from secureflow.engines.training.strategies.strategy import Vector


class Yogi(Adam):
    """`Strategy`."""

    def second(self, beta2: float, old: Vector, square: Vector) -> Vector:
        """Return the next second moment; rounding takes it nowhere below zero."""
        moved = old - (1.0 - beta2) * square * np.sign(old - square)
        return np.maximum(moved, 0.0)
