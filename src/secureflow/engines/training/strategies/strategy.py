"""What a strategy computes from a round's release, and the arrays that it is given.

A state is `[model | bound | kept]`: the model's parameters, the clipping norm if it adapts, and
what the strategy keeps for all, vectors of the model's length. A release is the weighted mean
change of `[model | bit of the bound]`; if noise is added to the sum, that sum in lattice steps.

All must compute the same bits: arithmetic is float64, of operations that IEEE 754 rounds correctly
(+, −, ·, /, √), and each value is rounded to float32 once. For a plain sum of two float32 numbers
that is their float32 sum (53 ≥ 2 · 24 + 2 bits: Figueroa 1995), so that it does not depend on the
precision in which a mean was stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.noising import noised_state
from secureflow.engines.training.private import noise_shared, noised_once
from secureflow.kit.errors import SecureFlowError

BLOCK: Final = 1 << 16
"""Values that are processed at a time."""

Vector = NDArray[np.float64]


class Blocks(Protocol):
    """Numbers that are read block by block: an array, a file, a fold's mean."""

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


def parts(start: int, stop: int) -> Iterator[slice]:
    """Yield the blocks between two places."""
    return (slice(at, min(at + BLOCK, stop)) for at in range(start, stop, BLOCK))


def shifted(part: slice, by: int) -> slice:
    """Return the block that lies so much further on."""
    return slice(part.start + by, part.stop + by)


def noised(spec: TrainingSpec) -> bool:
    """Tell whether a release is a noised sum, not a mean."""
    return noise_shared(spec) or noised_once(spec)


def after_noise(spec: TrainingSpec, state: Blocks, release: Blocks) -> NDArray[np.float32]:
    """Return the state to which a noised sum leads by itself, float32 (model_and_bound,)."""
    own = np.asarray(state[slice(0, spec.model_and_bound)])
    return noised_state(spec, own, release[slice(None)].astype(np.float64))


def put(target: Target, part: slice, values: Vector) -> None:
    """Write a block as float32.

    Raises:
        SecureFlowError: `model_not_finite`.
    """
    with np.errstate(over="ignore"):  # refused by name below
        block = values.astype(np.float32)
    if not np.isfinite(block).all():
        raise SecureFlowError(
            "model_not_finite",
            "The next model is not finite.",
            "Lower the learning rate or the norm cap.",
        )
    target[part] = block
