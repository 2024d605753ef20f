"""Families whose update is the mean of what each row adds: what they share.

A party's model is the means over its rows; the weighted mean over the parties is that over all
rows. Under record-level differential privacy what a row adds is clipped as one vector, to L2 norm
`clipping_norm`, and noise is added to the sum (`settling` has what follows).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.training.measures import Measured, measure_of
from secureflow.engines.training.pull import Pull

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
Float = NDArray[np.float64]

_BLOCK: Final = 1 << 20
"""Cells that are float64 at a time."""


class SummedFamily(Measured, ABC):
    """`ModelFamily` of sums.

    Args:
        spec: the job's spec.
    """

    needs_data: Final = True
    reproducible: Final = True

    def __init__(self, spec: TrainingSpec) -> None:
        self._spec = spec
        self._measure = measure_of(spec)
        width = spec.features.width if spec.features else 0
        self._block = max(1, _BLOCK // (width + max(one.shape[0] for one in spec.tensors)))

    def train(
        self,
        spec: TrainingSpec,
        parameters: Vector,
        inputs: Matrix | EncodedRows,
        labels: Vector,
        seed: bytes,
        weights: Vector | None = None,
        pull: Pull | None = None,
    ) -> Vector:
        """Return the means over these rows; without rows the parameters, unchanged."""
        del seed, pull
        if not len(labels):
            return parameters
        before, total = parameters.astype(np.float64), np.zeros(len(parameters))
        for start in range(0, len(labels), self._block):
            rows = np.arange(start, min(start + self._block, len(labels)))
            some = inputs[rows].astype(np.float64)
            counts = np.ones(len(rows)) if weights is None else weights[rows].astype(np.float64)
            total += self.total(before, some, labels[rows].astype(np.float64), counts)
        return self.model(spec, before, total / len(labels)).astype(np.float32)

    def clipped_sum(
        self, parameters: Float, inputs: Float, labels: Float, clip: float, weights: Float | None
    ) -> Float:
        """Return the sum of what rows add, each row's scaled down to L2 norm `clip`."""
        counts = np.ones(len(labels)) if weights is None else weights
        norms = self.norms(inputs) * counts
        factor = counts * np.minimum(1.0, clip / np.maximum(norms, 1e-300))
        return self.total(parameters, inputs, labels, factor)

    def metric_sums(
        self, spec: TrainingSpec, parameters: Vector, inputs: Matrix, labels: Vector
    ) -> Float:
        """Return the sums of `measures` for this model on these rows."""
        del spec
        return self._measure.sums(self.outputs(parameters, inputs), labels, self.spread(parameters))

    def metric_steps(
        self, parameters: Vector, inputs: Matrix, labels: Vector, unit: int
    ) -> NDArray[np.int64]:
        """Return the steps of `measures`; each row's output is computed from it alone."""
        found = self.outputs(parameters, inputs)
        return self._measure.steps(found, labels, self.spread(parameters), unit)

    @abstractmethod
    def total(self, parameters: Float, inputs: Float, labels: Float, counts: Float) -> Float:
        """Return the sum of what rows add, each `counts` times; a row's from it alone."""

    @abstractmethod
    def norms(self, inputs: Float) -> Float:
        """Return the L2 norm of what each row adds, from that row alone."""

    def model(self, spec: TrainingSpec, before: Float, means: Float) -> Float:
        """Return a party's model for the means over its rows."""
        del spec, before
        return means

    @abstractmethod
    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return the outputs, float32 (rows, outputs); a row's from it alone."""

    def spread(self, parameters: Vector) -> tuple[float, float]:
        """Return centre and unit of binary outputs: the same for all that have the model."""
        del parameters
        return 0.0, 1.0


def by_group(groups: NDArray[np.int64], counts: Float, size: int) -> Float:
    """Return (rows, size): what a row counts in its group, and zeros."""
    found = np.zeros((len(groups), size))
    found[np.arange(len(groups)), groups] = counts
    return found
