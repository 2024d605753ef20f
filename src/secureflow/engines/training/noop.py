"""The family `rehearsal`: a no-op model of any size for running the whole protocol.

It measures links, seals, folds and the ledger. Its parameters never change, so every delta is
zero, and it touches no data.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.pull import Pull


class NoOpModel:
    """A model family without data; see `ModelFamily` for the methods' contract.

    Args:
        spec: the job's spec.
    """

    needs_data: Final = False
    reproducible: Final = True

    def __init__(self, spec: TrainingSpec) -> None:
        del spec

    def train(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: NDArray[np.float32],
        seed: bytes,
        weights: NDArray[np.float32] | None = None,
        pull: Pull | None = None,
    ) -> NDArray[np.float32]:
        """Return the same array of parameters, unchanged."""
        del spec, inputs, labels, seed, weights, pull
        return parameters

    def clipped_sum(
        self,
        parameters: NDArray[np.float64],
        inputs: NDArray[np.float64],
        labels: NDArray[np.float64],
        clip: float,
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return zeros."""
        del inputs, labels, clip, weights
        return np.zeros_like(parameters)

    def metric_count(self) -> int:
        """Return 0: there is nothing to measure."""
        return 0

    def metric_sums(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32],
        labels: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return an empty array."""
        del spec, parameters, inputs, labels
        return np.zeros(0)

    def private_metric_count(self) -> int:
        """Return 0."""
        return 0

    def metric_steps(
        self,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32],
        labels: NDArray[np.float32],
        unit: int,
    ) -> NDArray[np.int64]:
        """Return an empty array."""
        del parameters, inputs, labels, unit
        return np.zeros(0, np.int64)

    def outputs(
        self, parameters: NDArray[np.float32], inputs: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return no output for any row."""
        del parameters
        return np.zeros((len(inputs), 0), np.float32)
