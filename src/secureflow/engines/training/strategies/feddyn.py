"""FedDyn (Acar et al. 2021, "Federated Learning Based on Dynamic Regularization").

Party i minimises L_i(w) − ⟨λ_i, w⟩ + α/2 · ‖w − w_t‖², then λ_i ← λ_i − α · (w_i − w_t). For all
h ← h − α · Δ, and w ← w_t + Δ − h/α, with the mean change Δ. Means are weighted by rows, as
everywhere here; in a round without some party h moves as if it had changed like the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.domain.specs.strategies import FedDyn
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.stepping import Stepping
from secureflow.engines.training.strategies.strategy import Vector


class Dynamic(Stepping):
    """`Strategy`."""

    kept = 1

    def vector(self, spec: TrainingSpec, place: int, old: Vector, change: Vector) -> Vector:
        """Return the slope for all."""
        del place
        return old - chosen(spec).alpha * change

    def step(self, spec: TrainingSpec, new: Sequence[Vector], change: Vector) -> Vector:
        """Go to the mean, and against the slope."""
        return change - new[0] / chosen(spec).alpha


def chosen(spec: TrainingSpec) -> FedDyn:
    """Return the strategy's parameters."""
    if not isinstance(spec.plan.strategy, FedDyn):
        raise AssertionError  # the registry says so
    return spec.plan.strategy
