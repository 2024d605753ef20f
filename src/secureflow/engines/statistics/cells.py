"""Counts of cells that agree with each other: from a noised tree, or from randomised responses.

The tree's nodes are noised alike and independently, so the best linear unbiased counts of its cells
are the least-squares solution (Hay et al. 2010). AᵀA has about as many different eigenvalues as the
tree has levels: conjugate gradients solve it in a few steps without a matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_STEPS = 200


def tree_counts(nodes: Vector, widths: tuple[int, ...], cells: int) -> Vector:
    """Return the counts of the cells from all nodes, cells first, then level by level."""
    pulled = np.zeros(cells)
    start = 0
    for width in widths:
        count = -(-cells // width)
        pulled += np.repeat(nodes[start : start + count], width)[:cells]
        start += count
    return _solve(pulled, widths)


def tree_variance(weights: Vector, widths: tuple[int, ...]) -> float:
    """Return the variance of Σ weight · count over the noise variance of one node."""
    return float(weights @ _solve(weights, widths))


def response_counts(answers: Vector, truth: float) -> Vector:
    """Return unbiased counts of what was true from how often each of all choices was answered.

    Args:
        answers: how often each choice was answered.
        truth: the probability of the true answer; the others share the rest alike.
    """
    lie = (1 - truth) / (len(answers) - 1)
    return np.asarray((answers - answers.sum() * lie) / (truth - lie), np.float64)


def response_variance(weights: Vector, answers: Vector, truth: float) -> float:
    """Return an unbiased estimate of the variance of Σ weight · count of `response_counts`.

    A value i contributes the variance of weight[answer]: E[weight²|i] − E[weight|i]², summed over
    the values by their estimated counts.
    """
    lie = (1 - truth) / (len(answers) - 1)
    expected = (truth - lie) * weights + lie * weights.sum()
    total = weights**2 @ answers - expected**2 @ response_counts(answers, truth)
    return max(float(total), 0.0) / (truth - lie) ** 2


def monotone(cumulative: Vector) -> Vector:
    """Return a rising curve midway between the least above and the greatest below."""
    above = np.maximum.accumulate(cumulative)
    below = np.minimum.accumulate(cumulative[::-1])[::-1]
    return np.asarray((above + below) / 2, np.float64)


def _normal(vector: Vector, widths: tuple[int, ...]) -> Vector:
    """Return AᵀA times a vector of cells."""
    total = np.zeros(len(vector))
    for width in widths:
        sums = np.add.reduceat(vector, np.arange(0, len(vector), width))
        total += np.repeat(sums, width)[: len(vector)]
    return total


def _solve(right: Vector, widths: tuple[int, ...]) -> Vector:
    if widths == (1,):
        return right
    found = np.zeros(len(right))
    rest = right.astype(np.float64)
    direction, square = rest.copy(), float(rest @ rest)
    enough = square * 1e-26
    for _ in range(_STEPS):
        if square <= enough:
            break
        image = _normal(direction, widths)
        step = square / float(direction @ image)
        found += step * direction
        rest -= step * image
        square, before = float(rest @ rest), square
        direction = rest + square / before * direction
    return found
