"""Bounds on the effect of one unit: per-example and per-party clipping, and an adaptive bound.

`logistic_gradient_sum` clips each example's gradient without ever building the matrix of them: the
gradient of example i is (p_i − y_i)·x_i, so its norm is |p_i − y_i|·‖x_i‖. A row's contribution is
computed from that row alone, to the last bit (`row_products`): otherwise removing one row would
change others, and the clipping would bound nothing. `clipped_layers_sum` is the same for networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError

Vector = NDArray[np.float64]
_Float = TypeVar("_Float", bound=np.floating[Any])


def logistic_gradient_sum(
    weights: Vector,
    features: Vector,
    labels: Vector,
    clip: float,
    counts: Vector | None = None,
) -> tuple[Vector, int]:
    """Return the sum of the clipped per-example gradients of the log loss.

    Args:
        weights: shape (d + 1,), the intercept last.
        features: shape (n, d), finite.
        labels: shape (n,), 0 or 1.
        clip: the largest L2 norm of one example's gradient.
        counts: shape (n,), how much each example counts before it is clipped; None for 1.

    Returns:
        The sum, shape (d + 1,), which adding or removing a row changes by at most `clip`; and how
        many gradients were not clipped (a number that is *not* private). It is finite: a row whose
        logit is not a number (weights that overflow) has no gradient and adds nothing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        residual = sigmoid(row_products(features, weights[:-1]) + weights[-1]) - labels
    if counts is not None:
        residual = residual * counts
    residual = np.where(np.isfinite(residual), residual, 0.0)
    # The intercept's input is 1.
    norms = np.abs(residual) * np.sqrt(np.einsum("ij,ij->i", features, features) + 1.0)
    factor = np.minimum(1.0, clip / np.maximum(norms, 1e-300))
    scaled = residual * factor
    return np.append(scaled @ features, scaled.sum()), int(np.count_nonzero(norms <= clip))


def row_products(rows: NDArray[_Float], weights: NDArray[_Float]) -> NDArray[_Float]:
    """Return rows @ weights, shape (n,), in which no row's product depends on the other rows.

    A matrix product of a BLAS rounds a row depending on its position and the number of rows.
    Someone who chooses the weights (a job can resume from any model) can make that rounding decide
    the class of as many rows as change their position when one is removed.
    """
    products: NDArray[_Float] = np.einsum("ij,j->i", np.ascontiguousarray(rows), weights)
    return products


def product_rows(rows: NDArray[_Float], coef: NDArray[_Float]) -> NDArray[_Float]:
    """Return rows @ coefᵀ, shape (n, o), in which no row's products depend on the other rows.

    See `row_products`: each element is one sum over two contiguous vectors.
    """
    contiguous = np.ascontiguousarray(rows), np.ascontiguousarray(coef)
    products: NDArray[_Float] = np.einsum("ij,kj->ik", *contiguous)
    return products


def row_norms(rows: Vector) -> Vector:
    """Return each row's L2 norm, shape (n,), from that row alone; inf or NaN if it has none.

    Rows are scaled by their largest value first. Otherwise the squares of small values vanish, and
    a row whose values are multiplied by large ones afterwards would not be clipped.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.abs(rows).max(axis=1, initial=0.0)
        scaled = rows / np.where(largest > 0, largest, 1.0)[:, None]
        norms: Vector = largest * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    return norms


@dataclass(frozen=True)
class Layer:
    """What one dense layer does to each row.

    The gradient of a row is the outer product of `slopes` and `inputs`, and `slopes` for the
    intercepts: its norm needs no matrix per row.

    Args:
        inputs: what the layer sees, shape (n, i).
        slopes: of the loss by the layer's outputs, shape (n, o).
    """

    inputs: Vector
    slopes: Vector


def clipped_layers_sum(layers: Sequence[Layer], clip: float) -> Vector:
    """Return the sum of the clipped per-row gradients of a network, flat.

    Of each layer, in order: the coefficients (o, i) row by row, then the intercepts. Adding or
    removing a row changes it by at most `clip` (L2). A row whose gradient is not finite, or so long
    that its norm is not, has none and adds nothing; so the sum is finite.
    """
    norms = np.zeros(len(layers[0].inputs))
    with np.errstate(over="ignore", invalid="ignore"):
        for one in layers:
            # The intercept's input is 1.
            own = row_norms(one.slopes) * np.hypot(row_norms(one.inputs), 1.0)
            norms = np.hypot(norms, own)
    finite = np.isfinite(norms)
    norms = np.where(finite, norms, 0.0)
    factor = np.where(finite, np.minimum(1.0, clip / np.maximum(norms, 1e-300)), 0.0)
    parts = []
    for one in layers:
        # Zero times infinity is no number: rows without a gradient are cleared.
        slopes = np.where(finite[:, None], one.slopes, 0.0) * factor[:, None]
        parts.append((slopes.T @ np.where(finite[:, None], one.inputs, 0.0)).reshape(-1))
        parts.append(slopes.sum(axis=0))
    return np.concatenate(parts)


def sigmoid(logits: Vector) -> Vector:
    """Return 1 / (1 + exp(−x)) without overflow."""
    small = np.exp(-np.abs(logits))
    result: Vector = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return result


def clip_norm(vector: Vector, clip: float) -> Vector:
    """Return the vector, scaled down to L2 norm `clip` if it is longer.

    Raises:
        SecureFlowError: `invalid_update` if it is not finite: no scaling bounds that.
    """
    norm = float(np.linalg.norm(vector))
    if not math.isfinite(norm):
        raise SecureFlowError("invalid_update", "The update is not finite.")
    return vector * (clip / norm) if norm > clip else vector.copy()


@dataclass(frozen=True)
class AdaptiveClip:
    """Track a quantile of the update norms (Andrew et al. 2021, Algorithm 1).

    Each party adds to its vector the bit *my norm is within the bound*, shifted to ±½ so that its
    sensitivity is ½. The noised mean of the bits moves the bound geometrically.

    Args:
        bound: the current clipping bound.
        quantile: γ, the share of updates to leave unclipped.
        rate: η of the geometric step.
        bit_noise: σ_b, the standard deviation of the noise on the *sum* of the bits.
    """

    bound: float
    quantile: float = 0.5
    rate: float = 0.2
    bit_noise: float = 1.0

    def bit(self, norm: float) -> float:
        """Return a party's bit for its norm: ½ if it is within the bound, otherwise −½."""
        return 0.5 if norm <= self.bound else -0.5

    def moved(self, noised_bits: float, parties: int) -> AdaptiveClip:
        """Return the next bound.

        Args:
            noised_bits: the noised sum of the parties' ±½.
            parties: the number of bits in the sum.
        """
        within = min(1.0, max(0.0, noised_bits / parties + 0.5))
        bound = self.bound * math.exp(-self.rate * (within - self.quantile))
        return AdaptiveClip(bound, self.quantile, self.rate, self.bit_noise)
