"""FedNova (Wang et al. 2020, "Tackling the Objective Inconsistency Problem").

Party i sends Δ_i / τ_i, its change per local step, and τ_i, the number of its steps; the next model
is w + τ · d with the weighted means τ of the τ_i and d of the Δ_i / τ_i (plain SGD, so that every
step counts alike). τ_i travels as a share of the most steps that the spec allows.
"""

from __future__ import annotations

import math

import numpy as np

from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.strategy import Blocks, Target, parts, put


class Normalised:
    """`Strategy`."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Go along the mean change per step, as many steps as the parties took on average."""
        size = spec.model_parameters
        steps = float(release[slice(size, size + 1)][0]) / per_step(spec)
        for part in parts(0, size):
            put(target, part, state[part].astype(np.float64) + steps * release[part])


def most_steps(spec: TrainingSpec) -> int:
    """Return the most local steps of a round: those of a party with `limits.max_weight` rows."""
    return spec.plan.local_epochs * math.ceil(spec.limits.max_weight / spec.plan.batch_size)


def per_step(spec: TrainingSpec) -> float:
    """Return the value by which one step is told: all of them stay within the caps of an update."""
    cap = spec.limits.clip_norm
    if traits_of(spec).masks:
        cap = min(cap, spec.quantisation.clip)
    return cap / most_steps(spec)
