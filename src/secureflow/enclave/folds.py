"""The sum of one step's contributions, and what becomes of it: one class for each way to add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.privacy import MAX_COORDINATE
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.models import GlobalModel, PublishedMean
from secureflow.engines.sealing import (
    FixedPointAccumulator,
    Manifest,
    OpenedUpdate,
    update_manifest,
    vector_manifest,
)
from secureflow.engines.secagg import MaskingPlan, Opened, open_sum
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.training.encodings import apply_mean, opened_sums
from secureflow.engines.training.models import Stage, update_layout
from secureflow.engines.training.noising import noise_of, released_sums, split_sums
from secureflow.engines.training.private import noised_once, noises_metrics, norm_cap
from secureflow.kit.errors import SecureFlowError

Seed = Callable[[], bytes]
"""Returns the seed of the step's noise, which what is folded decides together."""


class Fold(Protocol):
    """The sum of one step. The caller holds the job's lock, or the thread that works under it."""

    @property
    def count(self) -> int:
        """How many contributions are in it."""

    def fold(self, update: OpenedUpdate) -> bytes:
        """Add a verified contribution, all of it or nothing; return its seed for the noise, if any.

        Raises:
            SecureFlowError: it is beyond the caps of the spec.
        """

    def open(self, number: int, opened: Opened | None) -> None:
        """Take masks away, where there are any.

        Args:
            number: the round's, in its stage's masked session.
            opened: what opens the sum.

        Raises:
            SecureFlowError: it does not open, or nothing came that would.
        """

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Move the model on; return the mean where the parties compute the model from it too.

        Raises:
            SecureFlowError: `model_not_finite`, `model_inconsistent`; the model is unusable then.
        """

    def sums(self, seed: Seed) -> list[float]:
        """Return what is released beside the model: weight and metrics, noised as the spec says."""

    def reset(self) -> None:
        """Forget everything folded; memory stays."""


class MeanFold:
    """The weighted mean of updates in clear; memory is that of one model."""

    def __init__(self, spec: TrainingSpec, stage: Stage) -> None:
        self._spec, self._stage = spec, stage
        layout = update_layout(spec, stage)
        self._sum = self._accumulator(layout.parameters, layout.sums - layout.seeds)

    @property
    def count(self) -> int:
        """How many updates are in it."""
        return self._sum.count

    def fold(self, update: OpenedUpdate) -> bytes:
        """Add an update: `norm_exceeded`, `weight_out_of_bounds`, … if it is beyond the caps."""
        sums, seed = split_sums(self._spec, self._stage, update.sums)
        self._sum.fold(update.parameters, sums)
        return seed

    def open(self, number: int, opened: Opened | None) -> None:
        """There are no masks."""

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Add the weighted mean to the model."""
        del seed
        model.move(self._spec, self._sum.mean())
        return None

    def sums(self, seed: Seed) -> list[float]:
        """Return weight and metrics as they are."""
        del seed
        return released_sums(self._spec, self._stage, self._sum.sums().tolist())

    def reset(self) -> None:
        """Forget everything folded; memory stays."""
        self._sum.reset()

    def _accumulator(self, parameters: int, sums: int) -> FixedPointAccumulator:
        limits = self._spec.limits
        weight = float(limits.max_weight) if self._spec.privacy is None else 1.0
        return FixedPointAccumulator(
            parameters,
            sums,
            max_weight=weight,
            total_weight_cap=weight * len(self._spec.roster),
            clip_norm=limits.clip_norm,
            max_abs=limits.clip_norm,
        )


class NoisedFold(MeanFold):
    """The sum of updates in lattice steps, to which noise is added here, once, before it is told.

    Weights are 1. The fold adds lattice steps exactly.
    """

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Go on from the noised sum: the exact one leaves no trace."""
        if not self._sum.count:
            raise SecureFlowError("nothing_folded", "No update was folded into this round.")
        exact = self._sum.fixed >> self._sum.exponent
        model.move(self._spec, exact + noise_of(self._spec, "train", seed()))
        return None

    def sums(self, seed: Seed) -> list[float]:
        """Return weight and metrics; those of an evaluation are noised."""
        sums = self._sum.sums()
        if self._stage == "evaluate" and noises_metrics(self._spec):
            sums[1:] += noise_of(self._spec, self._stage, seed())
        return released_sums(self._spec, self._stage, sums.tolist())

    def _accumulator(self, parameters: int, sums: int) -> FixedPointAccumulator:
        return FixedPointAccumulator(
            parameters,
            sums,
            max_weight=1.0,
            total_weight_cap=float(len(self._spec.roster)),
            clip_norm=norm_cap(self._spec),
            max_abs=MAX_COORDINATE,
        )


class MaskedFold:
    """The sum of masked vectors inside the seal (`sealed+secagg`): ring elements, and no more.

    Not even the enclave sees a single update: it opens seals and finds masks. What opens the sum
    comes from the parties by way of the centre, and is checked here against the keys and
    commitments that they signed and against a closing certificate of t of them.

    Args:
        spec: the job's.
        stage: the step's stage.
        plan: of its masked sums.
    """

    def __init__(self, spec: TrainingSpec, stage: Stage, plan: MaskingPlan) -> None:
        self._spec, self._stage, self._plan = spec, stage, plan
        self.count = 0
        self._total: Ring = np.zeros(plan.encoding.slots, plan.ring)
        self._weight = 0

    def fold(self, update: OpenedUpdate) -> bytes:
        """Add a vector, shape `(slots,)`."""
        self.add(update.tensors["vector"])
        return b""

    def add(self, vector: NDArray[np.unsignedinteger]) -> None:
        """Add a verified vector, shape `(slots,)`."""
        if vector.shape != self._total.shape or vector.dtype != self._total.dtype:
            raise SecureFlowError(
                "update_shape_wrong",
                ("The masked vector does not have the shape of this job's sums."),
            )
        np.add(self._total, vector, out=self._total)
        self.count += 1

    def open(self, number: int, opened: Opened | None) -> None:
        """Check what opens the sum and take the masks away.

        Raises:
            SecureFlowError: those of `open_sum`; `invalid_request` when nothing came.
        """
        if opened is None:
            raise SecureFlowError("invalid_request", "What opens the masked sum was not sent.")
        self._weight = open_sum(self._plan, number, opened, self._total)

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Move the model on by the mean of the opened sum, and return the mean."""
        del seed
        mean = np.empty(self._spec.parameters, np.float32)
        model.digest, digest = apply_mean(
            self._spec, self._plan, self._total, self._weight, model.parameters, mean
        )
        return PublishedMean(mean, digest)

    def sums(self, seed: Seed) -> list[float]:
        """Return the opened sums: weight, then metrics; noise is in them already."""
        del seed
        opened = opened_sums(self._spec, self._stage, self._plan, self._total, self._weight)
        return [float(value) for value in opened]

    def reset(self) -> None:
        """Forget everything folded; memory stays."""
        self._total.fill(0)
        self.count = self._weight = 0


def training_manifest(spec: TrainingSpec, stage: Stage, plan: MaskingPlan | None) -> Manifest:
    """Return how a contribution to a stage is laid out; `plan` as of `training_fold`."""
    if plan is not None:
        return vector_manifest(plan.encoding.slots, plan.ring.itemsize)
    layout = update_layout(spec, stage)
    return update_manifest(layout.parameters, layout.sums)


def training_fold(spec: TrainingSpec, stage: Stage, plan: MaskingPlan | None) -> Fold:
    """Return the fold of a stage; `plan` is that of its masked sums, where there are any."""
    if plan is not None:
        return MaskedFold(spec, stage, plan)
    return NoisedFold(spec, stage) if noised_once(spec) else MeanFold(spec, stage)
