"""The sum of one step's contributions, and its release: one class for each way to add up.

Each kind brings its own `Fold`s. `MaskedSum` is the common part of all sums of masked vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.enclave.models import GlobalModel, PublishedMean
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.secagg import MaskingPlan, Opened, open_sum
from secureflow.engines.secagg.masks import Ring
from secureflow.kit.errors import SecureFlowError

Seed = Callable[[], bytes]
"""Returns the seed of the step's noise, which all folded contributions determine together."""


class Fold(Protocol):
    """The sum of one step. The caller holds the job's lock, or the thread that works under it."""

    @property
    def count(self) -> int:
        """The number of contributions in the sum."""

    def fold(self, update: OpenedUpdate) -> bytes:
        """Add a verified contribution, all of it or nothing; return its seed for the noise, if any.

        Raises:
            SecureFlowError: the contribution exceeds the caps of the spec.
        """

    def open(self, number: int, opened: Opened | None) -> None:
        """Remove the masks, if there are any.

        Args:
            number: the round's number in its stage's masked session.
            opened: what opens the sum.

        Raises:
            SecureFlowError: it does not open, or `opened` is missing.
        """

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Update the model; return the mean if the parties compute the model from it as well.

        Raises:
            SecureFlowError: `model_not_finite`, `model_inconsistent`; the model is unusable then.
        """

    def sums(self, seed: Seed) -> list[float]:
        """Return what is released with the model: weight and metrics, noised by the spec."""

    def reset(self) -> None:
        """Clear the sum; its memory stays allocated, what lies on the disk goes."""


class MaskedSum:
    """The sum of masked vectors inside the seal (`sealed+secagg`): ring elements only.

    Not even the enclave sees a single contribution: it opens seals and finds masked vectors. The
    opening of the sum comes from the parties through the centre, and is checked here against the
    keys and commitments that they signed and against a closing certificate of t of them. The fold
    of a kind decides what becomes of the opened sum (`advance`, `sums`).

    Args:
        plan: the plan of the stage's masked sums.
    """

    def __init__(self, plan: MaskingPlan) -> None:
        self._plan = plan
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
        """Check the opening of the sum and remove the masks.

        Raises:
            SecureFlowError: those of `open_sum`; `invalid_request` if `opened` is missing.
        """
        if opened is None:
            raise SecureFlowError("invalid_request", "The opening of the masked sum is missing.")
        self._weight = open_sum(self._plan, number, opened, self._total)

    def reset(self) -> None:
        """Clear the sum; its memory stays allocated."""
        self._total.fill(0)
        self.count = self._weight = 0
