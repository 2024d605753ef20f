"""The update of the model from a round's release; enclave, aggregator and agents share this code.

FedAvg (McMahan et al. 2017, Algorithm 1): the next state is the state plus the weighted mean of the
updates. Under differential privacy the noised sum of clipped gradients or updates replaces the
mean, with a public denominator (`noising.noised_state`).

All must compute the same bits. The sum is taken in float64 and rounded to float32 once: for
two float32 numbers that is their float32 sum (53 ≥ 2 · 24 + 2 bits: Figueroa 1995), so the result
does not depend on the precision in which the mean was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.noising import noised_state
from secureflow.engines.training.private import noise_shared, noised_once
from secureflow.kit.errors import SecureFlowError

BLOCK: Final = 1 << 16
"""Values that are processed at a time."""


class Blocks(Protocol):
    """Numbers that are read block by block, from the first on: an array, a file, a fold's mean."""

    def __getitem__(self, part: slice, /) -> NDArray[Any]:
        """Return a block; all of it for a slice without ends."""


class Target(Protocol):
    """The destination of the next state, written block by block, from the first on."""

    def __setitem__(self, part: slice, values: NDArray[Any], /) -> None:
        """Write a block."""


class Strategy(Protocol):
    """Computes the next state from a state and a release."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Write the next state, `spec.parameters` float32 values.

        Args:
            spec: the job's spec.
            state: the state from which the round started, float32.
            release: the weighted mean of the updates; if noise is added to the sum, that sum in
                lattice steps.
            target: may be the state itself.

        Raises:
            SecureFlowError: `model_not_finite`; then the target is unusable.
        """


class FedAvg:
    """`Strategy`."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Add the mean, or its replacement under noise."""
        if noise_shared(spec) or noised_once(spec):
            everything = slice(None)
            sums = release[everything].astype(np.float64)
            target[everything] = noised_state(spec, state[everything], sums)
            return
        for start in range(0, spec.parameters, BLOCK):
            part = slice(start, min(start + BLOCK, spec.parameters))
            moved = state[part].astype(np.float64)
            np.add(moved, release[part], out=moved)
            with np.errstate(over="ignore"):  # refused by name below
                block = moved.astype(np.float32)
            if not np.isfinite(block).all():
                raise SecureFlowError(
                    "model_not_finite",
                    "The next model is not finite.",
                    "Lower the learning rate or the norm cap.",
                )
            target[part] = block


STRATEGIES: Final[Mapping[str, Strategy]] = {"fedavg": FedAvg()}


def next_state(spec: TrainingSpec, state: Blocks, release: Blocks, target: Target) -> None:
    """Write the next state after a release, by the strategy of the job's plan; see `Strategy`."""
    STRATEGIES[spec.plan.strategy].next_state(spec, state, release, target)
