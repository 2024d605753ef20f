"""FedAvg (McMahan et al. 2017, Algorithm 1): the state plus the weighted mean of the changes.

Under differential privacy the noised sum of clipped gradients or changes replaces the mean, with a
public denominator (`noising.noised_state`). FedProx differs in the local steps only,
and fine-tuning in what each party does for itself after the last round.
"""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.strategy import (
    Blocks,
    Target,
    after_noise,
    noised,
    parts,
    put,
)


class FedAvg:
    """`Strategy`."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Add the mean, or its replacement under noise."""
        if noised(spec):
            target[slice(None)] = after_noise(spec, state, release)
            return
        for part in parts(0, spec.model_and_bound):
            put(target, part, state[part].astype(np.float64) + release[part])
