"""The proximal term of FedProx (Li et al. 2020, "Federated Optimization in Heterogeneous Networks")

A party's loss has μ/2 · ‖w − w₀‖² added to it, with the global model w₀ of the round, so each local
step goes back by rate · μ · (w − w₀).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.strategies import FedProx
from secureflow.domain.specs.training import TrainingSpec


def proximal(spec: TrainingSpec) -> np.float32 | None:
    """Return μ; None without a proximal term."""
    chosen = spec.plan.strategy
    return np.float32(chosen.mu) if isinstance(chosen, FedProx) else None


class Pull:
    """How far a local step goes back to where its round began.

    Args:
        spec: the job's.
        before: the global model of the round, float32 (d,).
    """

    def __init__(self, spec: TrainingSpec, before: NDArray[np.float32]) -> None:
        mu = proximal(spec)
        self._factor = None if mu is None else np.float32(spec.plan.learning_rate) * mu
        self._before = before

    def back(self, *now: NDArray[np.float32] | np.float32) -> NDArray[np.float32] | None:
        """Return what a step takes away, float32 (d,), or None.

        Args:
            now: the current parameters, in pieces that make up (d,) one after the other.
        """
        if self._factor is None:
            return None
        whole = np.concatenate([np.atleast_1d(one) for one in now])
        return np.asarray(self._factor * (whole - self._before))
