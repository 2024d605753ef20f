"""Ridge regression in one round: the parties' XᵀX and Xᵀy are added up, and everybody solves.

With u = (x, 1) and the scaled target z, a party contributes the mean over its rows of u uᵀ (upper
triangle, row by row) and of u z; the weighted mean over parties is that of all rows, exact up to
the fixed point and float32. It is the released model: coefficients solve (mean u uᵀ + λ I) w =
mean u z, without λ for the intercept, so scikit-learn's α is λ · rows.

The system is solved by elimination in float64 with one elementwise operation at a time: no
machine's BLAS or vector width shows, and everybody finds the same bits. A column that the ones
before it explain (its pivot is below 1e-6 of its own square) gets the coefficient 0.

Under record-level differential privacy a row's contribution is clipped as a whole, to L2 norm
`clipping_norm`, and the noise on the sum may make the matrix indefinite: a public amount is added
to its diagonal (`private.loaded`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.privacy.clipping import row_products
from secureflow.engines.training.measures import Measured, measure_of
from secureflow.engines.training.pull import Pull

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
_Float = NDArray[np.float64]

_BLOCK: Final = 1 << 20
"""Cells of inputs that are float64 at a time."""
_EXPLAINED: Final = 1e-6


class Ridge(Measured):
    """`ModelFamily`: the parameters are sums, see above.

    Args:
        spec: the job's spec.
    """

    needs_data: Final = True
    reproducible: Final = True

    def __init__(self, spec: TrainingSpec) -> None:
        self._l2 = spec.model.l2
        self._size = 1 + (spec.features.width if spec.features else 0)
        self._measure = measure_of(spec)

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
        del spec, seed, pull
        if not len(labels):
            return parameters
        total, size = np.zeros(len(parameters)), max(1, _BLOCK // self._size)
        for start in range(0, len(labels), size):
            rows = np.arange(start, min(start + size, len(labels)))
            some = inputs[rows].astype(np.float64)
            counts = None if weights is None else weights[rows].astype(np.float64)
            total += self._sum(some, labels[rows].astype(np.float64), counts)
        return (total / len(labels)).astype(np.float32)

    def clipped_sum(
        self,
        parameters: _Float,
        inputs: _Float,
        labels: _Float,
        clip: float,
        weights: _Float | None,
    ) -> _Float:
        """Return the sum of the rows' products, each row's scaled down to L2 norm `clip`."""
        del parameters
        squares = inputs * inputs
        second = np.einsum("ij->i", squares) + 1.0
        fourth = np.einsum("ij,ij->i", squares, squares) + 1.0
        # Σ over i ≤ j of (x_i x_j)² is ½ ((Σ x²)² + Σ x⁴).
        norms = np.sqrt((second * second + fourth) / 2 + labels * labels * second)
        counts = np.ones(len(labels)) if weights is None else weights
        factor = counts * np.minimum(1.0, clip / np.maximum(norms * counts, 1e-300))
        return self._sum(inputs, labels, factor)

    def metric_sums(
        self, spec: TrainingSpec, parameters: Vector, inputs: Matrix, labels: Vector
    ) -> _Float:
        """Return the sums of `measures.NumberMeasure` for the solution on these rows."""
        del spec
        return self._measure.sums(self.outputs(parameters, inputs), labels, (0.0, 1.0))

    def metric_steps(
        self, parameters: Vector, inputs: Matrix, labels: Vector, unit: int
    ) -> NDArray[np.int64]:
        """Return the steps of `measures.NumberMeasure`, each row separately."""
        coef = self.coefficients(parameters)
        found = row_products(inputs, coef[:-1]) + coef[-1]
        return self._measure.steps(found, labels, (0.0, 1.0), unit)

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return the scaled predictions, float32 (rows, 1)."""
        coef = self.coefficients(parameters)
        return np.asarray(inputs @ coef[:-1] + coef[-1], np.float32)[:, None]

    def coefficients(self, parameters: Vector) -> Vector:
        """Return the solution, float32 (width + 1,), the intercept last."""
        size = self._size
        triangle = np.triu_indices(size)
        matrix = np.zeros((size, size))
        matrix[triangle] = parameters[: len(triangle[0])]
        matrix[triangle[::-1]] = parameters[: len(triangle[0])]
        moment = parameters[len(triangle[0]) :].astype(np.float64)
        penalty = np.arange(size - 1)
        matrix[penalty, penalty] += self._l2
        return solve(matrix, moment).astype(np.float32)

    def _sum(self, inputs: _Float, labels: _Float, counts: _Float | None) -> _Float:
        rows = np.hstack([inputs, np.ones((len(inputs), 1))])
        weighted = rows if counts is None else rows * counts[:, None]
        gram = weighted.T @ rows
        return np.concatenate([gram[np.triu_indices(self._size)], labels @ weighted])


def solve(matrix: _Float, right: _Float) -> _Float:
    """Return the solution of a symmetric positive system, the same bits on every machine.

    Args:
        matrix: float64 (n, n); overwritten.
        right: float64 (n,); overwritten.
    """
    size, own = len(right), matrix.diagonal().copy()
    used = np.ones(size, np.bool_)
    for at in range(size):
        pivot = matrix[at, at]
        if not pivot > _EXPLAINED * abs(own[at]):
            used[at] = False
            continue
        factor = matrix[at + 1 :, at] / pivot
        matrix[at + 1 :, at + 1 :] -= factor[:, None] * matrix[at, at + 1 :]
        right[at + 1 :] -= factor * right[at]
    found = np.zeros(size)
    for at in range(size - 1, -1, -1):
        if used[at]:
            found[at] = right[at] / matrix[at, at]
            right[:at] -= matrix[:at, at] * found[at]
    return found
