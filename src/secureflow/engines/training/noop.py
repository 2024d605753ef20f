"""The family `rehearsal`: a no-op model of any size for running the whole protocol.

It measures links, seals, folds and the ledger. Its parameters never change, so every delta is
zero, and it touches no data.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows


class NoOpModel:
    """A model family without data; see `ModelFamily` for the methods' contract."""

    needs_data = False

    def initial(self, spec: TrainingSpec) -> NDArray[np.float32]:
        """Return zeros of the spec's size."""
        return np.zeros(spec.model_parameters, dtype=np.float32)

    def train(
        self,
        spec: TrainingSpec,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: NDArray[np.float32],
        seed: bytes,
    ) -> NDArray[np.float32]:
        """Return the same array of parameters, unchanged."""
        del spec, inputs, labels, seed
        return parameters

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

    def sums_of_steps(self, steps: NDArray[np.float64], unit: int) -> NDArray[np.float64]:
        """Return an empty array."""
        del unit
        return steps

    def summarise(self, sums: NDArray[np.float64]) -> dict[str, float]:
        """Return no metrics."""
        del sums
        return {}

    def noise_errors(self, sums: NDArray[np.float64], sigma: float) -> dict[str, float]:
        """Return nothing: there are no metrics."""
        del sums, sigma
        return {}
