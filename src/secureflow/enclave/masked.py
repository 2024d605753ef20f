"""Masked vectors inside the seal (`sealed+secagg`): the enclave adds ring elements, and no more.

Not even the enclave sees a single update: it opens seals and finds masks. What opens the sum comes
from the parties by way of the centre, and is checked here against the keys and commitments that
they signed and against a closing certificate of t of them.
"""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.models import Blobs, GlobalModel
from secureflow.enclave.plans import Plan
from secureflow.engines.secagg import Opened, open_sum
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.training.encodings import apply_mean, masked_plan, opened_sums
from secureflow.engines.training.models import Stage
from secureflow.kit.errors import SecureFlowError


class MaskedAccumulator:
    """The sum of one step's masked vectors; its face is that of the accumulator in clear.

    Args:
        plan: the verified job.
        stage: the step's stage.
    """

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self.plan = masked_plan(plan.spec, plan.job, plan.digest, stage)
        self._spec, self._stage = plan.spec, stage
        self.count = 0
        self._total: Ring = np.zeros(self.plan.encoding.slots, self.plan.ring)
        self._weight = 0

    def fold(self, vector: NDArray[np.unsignedinteger]) -> None:
        """Add a verified vector, shape `(slots,)`."""
        if vector.shape != self._total.shape or vector.dtype != self._total.dtype:
            raise SecureFlowError("update_shape_wrong", "The masked vector has another shape.")
        np.add(self._total, vector, out=self._total)
        self.count += 1

    def open(self, number: int, opened: Opened) -> None:
        """Check what opens the sum and take the masks away.

        Raises:
            SecureFlowError: those of `open_sum`.
        """
        self._weight = open_sum(self.plan, number, opened, self._total)

    def sums(self) -> NDArray[np.float64]:
        """Return the opened sums: weight, then metrics."""
        return np.array(opened_sums(self._spec, self._stage, self.plan, self._total, self._weight))

    def advance(self, spec: TrainingSpec, model: GlobalModel) -> PublishedMean:
        """Move the model on by the mean of the opened sum, and return the mean.

        Raises:
            SecureFlowError: `model_inconsistent`, `model_not_finite`; the model is unusable then.
        """
        mean = np.empty(spec.parameters, np.float32)
        model.digest, digest = apply_mean(
            spec, self.plan, self._total, self._weight, model.parameters, mean
        )
        return PublishedMean(mean, digest)

    def reset(self) -> None:
        """Forget everything folded; memory stays."""
        self._total.fill(0)
        self.count = self._weight = 0


class PublishedMean:
    """A mean update that agents compute the next model from."""

    def __init__(self, mean: NDArray[np.float32], digest: str) -> None:
        self._mean = mean
        self._digest = digest

    async def store(self, blobs: Blobs) -> dict[str, str | int]:
        """Store it and return {artifact, size}."""
        await blobs.store(self._mean.data, self._digest)
        return {"artifact": self._digest, "size": self._mean.nbytes}


async def open_masked(accumulator: MaskedAccumulator, number: int, opened: Opened | None) -> None:
    """Open a masked sum off the event loop.

    Raises:
        SecureFlowError: `invalid_request` when nothing came that opens it.
    """
    if opened is None:
        raise SecureFlowError("invalid_request", "Nothing came that opens the masked sum.")
    await asyncio.to_thread(accumulator.open, number, opened)
