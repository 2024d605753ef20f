"""Strategies that take the mean change for a gradient, with vectors that they keep for all.

The next model and each next vector are functions of one coordinate: its old value, the old ones of
the vectors, and its mean change. They are computed in passes, one for each part of the state, so
that the target may be the state itself and nobody holds more than a block of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.strategies.strategy import (
    Blocks,
    Target,
    Vector,
    after_noise,
    noised,
    parts,
    put,
    shifted,
)


class Stepping(ABC):
    """`Strategy`: the common part. A coordinate's vectors are (kept, n), its changes (n,)."""

    kept: int

    @abstractmethod
    def vector(self, spec: TrainingSpec, place: int, old: Vector, change: Vector) -> Vector:
        """Return the next values of the kept vector at a place, from its old ones."""

    @abstractmethod
    def step(self, spec: TrainingSpec, new: Sequence[Vector], change: Vector) -> Vector:
        """Return what is added to the model, from the next values of the vectors."""

    def next_state(
        self, spec: TrainingSpec, state: Blocks, release: Blocks, target: Target
    ) -> None:
        """Write the next model, then each vector that is kept."""
        size, behind = spec.model_parameters, spec.model_and_bound
        changes, bound = self._changes(spec, state, release)
        places = range(self.kept)

        def vectors(part: slice) -> tuple[list[Vector], Vector]:
            change = np.asarray(changes[part], np.float64)
            old = [state[shifted(part, behind + at * size)].astype(np.float64) for at in places]
            return old, change

        for part in parts(0, size):
            old, change = vectors(part)
            new = [self._rounded(self.vector(spec, at, old[at], change)) for at in places]
            put(target, part, state[part].astype(np.float64) + self.step(spec, new, change))
        if bound is not None:
            target[slice(size, behind)] = bound
        for at in places:
            for part in parts(0, size):
                old, change = vectors(part)
                after = self.vector(spec, at, old[at], change)
                put(target, shifted(part, behind + at * size), after)

    @staticmethod
    def _rounded(values: Vector) -> Vector:
        """Return values as they are kept: the model's step is one of what the state says."""
        with np.errstate(over="ignore"):  # refused by name when it is written
            return values.astype(np.float32).astype(np.float64)

    @staticmethod
    def _changes(
        spec: TrainingSpec, state: Blocks, release: Blocks
    ) -> tuple[Blocks, NDArray[np.float32] | None]:
        """Return the mean change of the model, and the next bound if one adapts."""
        if not noised(spec):
            return release, None
        size = spec.model_parameters
        after = after_noise(spec, state, release)
        before = np.asarray(state[slice(0, size)]).astype(np.float64)
        bound = after[size:] if spec.adapts_clipping else None
        return after[:size].astype(np.float64) - before, bound
