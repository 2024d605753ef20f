"""What a strategy adds to the slopes of a party's local steps.

| strategy   | slope of a step, beside that of the batch                              |
|------------|------------------------------------------------------------------------|
| `fedprox`  | μ · (w − w₀) (Li et al. 2020, MLSys)                                    |
| `feddyn`   | α · (w − w₀) − λ_i, with the party's own slope λ_i                      |
| `scaffold` | c − c_i, with everybody's slope c and the party's own c_i               |

w₀ is the global model of the round. A family of NumPy takes `back` away in each step; a network of
PyTorch adds `factor` and `slope` to the slopes that its optimiser then takes up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.strategies import FedDyn, FedProx
from secureflow.domain.specs.training import TrainingSpec

Vector = NDArray[np.float32]


def proximal(spec: TrainingSpec) -> np.float32 | None:
    """Return the factor of w − w₀; None without one."""
    chosen = spec.plan.strategy
    if isinstance(chosen, FedProx):
        return np.float32(chosen.mu)
    return np.float32(chosen.alpha) if isinstance(chosen, FedDyn) else None


class Pull:
    """How far a local step goes back.

    Args:
        spec: the job's.
        before: the global model of the round, float32 (d,).
        slope: what is added to each slope, float32 (d,); None for nothing.
    """

    def __init__(self, spec: TrainingSpec, before: Vector, slope: Vector | None = None) -> None:
        rate, factor = np.float32(spec.plan.learning_rate), proximal(spec)
        self.factor, self.before, self.slope = factor, before, slope
        self._factor = None if factor is None else rate * factor
        self._slope = None if slope is None else rate * slope

    def back(self, *now: Vector | np.float32) -> Vector | None:
        """Return what a step takes away, float32 (d,), or None.

        Args:
            now: the current parameters, in pieces that make up (d,) one after the other.
        """
        if self._factor is None:
            return self._slope
        whole = np.concatenate([np.atleast_1d(one) for one in now])
        found = np.asarray(self._factor * (whole - self.before))
        return found if self._slope is None else found + self._slope
