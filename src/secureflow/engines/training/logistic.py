"""Logistic regression by minibatch SGD, the local step of FedAvg (McMahan et al. 2017).

Parameters are float32 of shape (width + 1,): the weights in the design matrix's column order,
then the intercept. L2 (`model.l2`, λ/2·‖w‖²) leaves out the intercept.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import ModelSpec, TrainingSpec
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.privacy.clipping import logistic_gradient_sum, row_products
from secureflow.engines.training.metrics import (
    METRIC_COUNT,
    PRIVATE_COUNT,
    binary_metric_steps,
    binary_metric_sums,
)
from secureflow.engines.training.order import orders
from secureflow.engines.training.pull import Pull
from secureflow.engines.training.weighting import row_weights
from secureflow.kit.errors import SecureFlowError

_Float = TypeVar("_Float", bound=np.floating[Any])
Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


class LogisticRegression:
    """Binary logistic regression; see `ModelFamily` for the methods' contract.

    Args:
        spec: the job's spec; without one no class counts more than another.
    """

    needs_data: Final = True
    reproducible: Final = True

    def __init__(self, spec: TrainingSpec | None = None) -> None:
        model = spec.model if spec else None
        self._class_weights = model.class_weights if isinstance(model, ModelSpec) else None

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
        """Return the parameters after the plan's local epochs, bit-equal for equal arguments.

        Raises:
            SecureFlowError: `training_diverged` if a parameter is no longer finite.
        """
        plan = spec.plan
        counts = row_weights(self._class_weights, labels, weights)
        coef, intercept = parameters[:-1].copy(), parameters[-1]
        rate, decay = np.float32(plan.learning_rate), np.float32(spec.model.l2)
        pull = pull or Pull(spec, parameters)
        with np.errstate(over="ignore", invalid="ignore"):
            for order in orders(plan, seed, len(labels)):
                for start in range(0, len(labels), plan.batch_size):
                    rows = order[start : start + plan.batch_size]
                    slope, shift = _gradient(coef, intercept, inputs, labels, rows, counts)
                    step, back = rate / np.float32(len(rows)), pull.back(coef, intercept)
                    coef -= step * slope + (rate * decay) * coef
                    intercept -= step * shift
                    if back is not None:
                        coef, intercept = coef - back[:-1], intercept - back[-1]
        trained = np.append(coef, intercept).astype(np.float32)
        if not np.isfinite(trained).all():
            raise diverged()
        return trained

    def clipped_sum(
        self,
        parameters: NDArray[np.float64],
        inputs: NDArray[np.float64],
        labels: NDArray[np.float64],
        clip: float,
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Return the sum of the rows' clipped gradients; a row's is computed from it alone."""
        counts = row_weights(self._class_weights, labels, weights)
        return logistic_gradient_sum(parameters, inputs, labels, clip, counts)[0]

    def metric_count(self) -> int:
        """Return the length of `metric_sums`."""
        return METRIC_COUNT

    def metric_sums(
        self, spec: TrainingSpec, parameters: Vector, inputs: Matrix, labels: Vector
    ) -> NDArray[np.float64]:
        """Return the sums of `metrics.binary_metric_sums` for this model on these rows.

        Bins follow the projection on the unit weight vector: ranks do not change, and the AUC is as
        accurate for the tiny weights of the first round as for the last model's.
        """
        del spec
        return binary_metric_sums(logits(parameters, inputs), labels, *_spread(parameters))

    def private_metric_count(self) -> int:
        """Return the length of `metric_steps`."""
        return PRIVATE_COUNT

    def metric_steps(
        self, parameters: Vector, inputs: Matrix, labels: Vector, unit: int
    ) -> NDArray[np.int64]:
        """Return `metrics.binary_metric_steps` for this model on these rows, each separately."""
        scores = row_products(inputs, parameters[:-1]) + parameters[-1]
        return binary_metric_steps(scores, labels, *_spread(parameters), unit)

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return the log-odds of class 1, float32 (rows, 1)."""
        return logits(parameters, inputs)[:, None]


def diverged() -> SecureFlowError:
    """Return the error of a local training whose parameters are no longer finite."""
    return SecureFlowError(
        "training_diverged",
        "Local training diverged: a model parameter is no longer finite.",
        "Lower plan.learning_rate, or declare tighter bounds for the numeric features.",
    )


def _gradient(
    weights: Vector,
    intercept: np.float32,
    inputs: Matrix | EncodedRows,
    labels: Vector,
    rows: NDArray[np.int64],
    counts: Vector | None,
) -> tuple[Vector, np.float32]:
    """Return the summed gradient of the log loss on a batch: of the weights, of the intercept.

    Rows of a private job are made a block at a time: a job chooses its batches and the width of its
    rows, and a process that runs out of memory would reveal how many rows there are.
    """
    size = inputs.block if isinstance(inputs, EncodedRows) else len(rows)
    slope, shift = np.zeros_like(weights), np.float32(0.0)
    for start in range(0, len(rows), max(size, 1)):
        some = rows[start : start + size]
        block = inputs[some]
        residual = probabilities(block @ weights + intercept) - labels[some]
        if counts is not None:
            residual = residual * counts[some]
        slope += residual @ block
        shift += residual.sum()
    return slope, shift


def _spread(parameters: Vector) -> tuple[float, float]:
    """Return centre and unit of the logits: the same for all that have the model."""
    return float(parameters[-1]), float(np.linalg.norm(parameters[:-1]))


def logits(parameters: Vector, inputs: Matrix) -> Vector:
    """Return the log-odds of class 1 per row, float32 of shape (rows,)."""
    return np.asarray(inputs @ parameters[:-1] + parameters[-1], dtype=np.float32)


def probabilities(log_odds: NDArray[_Float]) -> NDArray[_Float]:
    """Return σ(log-odds) in their dtype; written with tanh, which cannot overflow."""
    half = log_odds.dtype.type(0.5)
    return np.asarray(half * (log_odds.dtype.type(1.0) + np.tanh(half * log_odds)), log_odds.dtype)
