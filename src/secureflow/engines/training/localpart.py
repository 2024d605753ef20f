"""A strategy's part at a party: what corrects its steps, what it sends beside the change of its
model, and the vector that it keeps for its next round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.strategies import FedBn, FedDyn, FedNova, Scaffold
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.capping import clipped_delta
from secureflow.engines.training.pull import Pull
from secureflow.engines.training.strategies.fedbn import stays
from secureflow.engines.training.strategies.fednova import most_steps, per_step

Vector = NDArray[np.float32]
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class LocalPart:
    """One round of one party.

    Args:
        spec: the job's.
        before: the global model, float32 (d,).
        kept: what the strategy keeps for all, float32 (kept · d,).
        own: what the party kept after its last round, float32 (d,); zeros before the first. Of
            FedBN the layers that stay, (staying,), and nothing before the first.
    """

    spec: TrainingSpec
    before: Vector
    kept: Vector
    own: Vector = field(repr=False)

    @property
    def start(self) -> Vector:
        """The model from which this party's steps begin: with its own layers, if some stay."""
        if not len(self.own) or not isinstance(self.spec.plan.strategy, FedBn):
            return self.before
        found = self.before.copy()
        found[stays(self.spec)] = self.own
        return found

    @property
    def pull(self) -> Pull | None:
        """What corrects the local steps beyond what follows from the spec alone."""
        if isinstance(self.spec.plan.strategy, FedDyn):
            return Pull(self.spec, self.before, -self.own)
        if isinstance(self.spec.plan.strategy, Scaffold):
            return Pull(self.spec, self.before, self.kept - self.own)
        return None

    def sent(self, trained: Vector, rows: int) -> tuple[Vector, Vector, Vector | None]:
        """Return the change, what is sent beside it, and what the party keeps next.

        Args:
            trained: the parameters after the local steps, float32 (d,).
            rows: on which it trained.
        """
        spec, change = self.spec, trained - self.before
        chosen = spec.plan.strategy
        if isinstance(chosen, FedBn):
            kept = stays(spec)
            return change[~kept], _NOTHING, trained[kept]
        if isinstance(chosen, FedDyn):
            counted = self._within_caps(change)  # as everybody's slope does
            return change, _NOTHING, self.own - np.float32(chosen.alpha) * counted
        steps = spec.plan.local_epochs * math.ceil(rows / spec.plan.batch_size)
        if isinstance(chosen, FedNova):
            # A party with more rows than `limits.max_weight` counts for that many.
            counted = np.array([min(steps, most_steps(spec)) * per_step(spec)], np.float32)
            return change / np.float32(max(steps, 1)), counted, None
        if isinstance(chosen, Scaffold):
            return change, *self._controlled(change, steps)
        return change, _NOTHING, None

    def _controlled(self, change: Vector, steps: int) -> tuple[Vector, Vector]:
        """Return the change of a control variate, within the caps, and the variate after it."""
        taken = np.float32(max(steps, 1) * self.spec.plan.learning_rate)
        moved = self._within_caps(-self.kept - change / taken)
        return moved, self.own + moved

    def _within_caps(self, change: Vector) -> Vector:
        """Return a change as it counts in the mean: else that would hold another one than kept."""
        counted = clipped_delta(self.spec, change)
        if not traits_of(self.spec).masks:
            return counted
        most = np.float32(self.spec.quantisation.clip)
        return np.clip(counted, -most, most)
