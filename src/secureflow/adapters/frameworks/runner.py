"""The interface between the worker and a training framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FrameworkRunner(Protocol):
    """One job's local computations over one prepared dataset.

    Models and updates are files of raw little-endian float32, `spec.parameters` long, read by
    memory map. Sums are float64 and laid out as `engines.training.models` says; `moments` are the
    federated sums that the job released, or None if the spec has no federated feature.
    """

    @property
    def rows(self) -> tuple[int, int]:
        """The number of training and of validation rows."""

    def moments(self) -> NDArray[np.float64]:
        """Return the sums of stage `moments` over the training rows."""

    def train(
        self, model: Path, update: Path, moments: Sequence[float] | None, seed: bytes
    ) -> NDArray[np.float64]:
        """Write the update's delta to `update` and return its sums; bit-identical when repeated."""

    def evaluate(
        self, model: Path, moments: Sequence[float] | None, seed: bytes
    ) -> NDArray[np.float64]:
        """Return the sums of stage `evaluate` on the validation rows; repeats are bit-identical."""
