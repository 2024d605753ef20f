"""Consistent counts of cells: from a noised tree, or from randomised responses.

The tree's nodes have equal, independent noise, so the best linear unbiased counts of its cells
are the least-squares solution (Hay et al. 2010). AᵀA has about as many different eigenvalues as the
tree has levels: conjugate gradients solve it in a few steps without a matrix.
"""

from __future__ import annotations

from itertools import pairwise

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


def prefix_variances(widths: tuple[int, ...], cells: int) -> tuple[Vector, Vector]:
    """Return the variance of the least-squares count below each edge, and its covariance with all.

    With 1ₖ the indicator of the first k cells: 1ₖᵀ(AᵀA)⁻¹1ₖ and 1ₖᵀ(AᵀA)⁻¹1, each of shape
    (cells + 1,), over the noise variance of one node. Each level above the cells adds 11ᵀ to its
    blocks, so that the inverse follows level by level (Sherman and Morrison 1950).

    Args:
        widths: cells under a node of each level, from 1 upwards.
        cells: the number of cells.
    """
    edges = np.arange(cells + 1)
    own, shared = np.zeros(cells + 1), np.zeros(cells + 1)  # for the part in an edge's own block
    blocks = np.ones(cells)  # 1ᵀ(AᵀA)⁻¹1 of each block
    for below, width in pairwise(widths):
        starts = np.arange(0, len(blocks), width // below)
        sums = np.add.reduceat(blocks, starts)
        # An edge at the very end is in no block, and has nothing before it in one.
        before = _before(blocks, edges // below, edges // width * (width // below))
        damped = 1 + np.append(sums, 0.0)[edges // width]
        own = before + own - (before + shared) ** 2 / damped
        shared = (before + shared) / damped
        blocks = sums / (1 + sums)
    before = _before(blocks, edges // widths[-1], np.zeros(cells + 1, np.int64))
    return before + own, before + shared


def _before(blocks: Vector, at: NDArray[np.int64], start: NDArray[np.int64]) -> Vector:
    """Return the sum of the blocks from `start` up to `at`."""
    sums = np.concatenate([np.zeros(1), np.cumsum(blocks)])
    return np.asarray(sums[at] - sums[start])


def response_counts(answers: Vector, truth: float) -> Vector:
    """Return unbiased counts of the true choices from how often each choice was answered.

    Args:
        answers: how often each choice was answered.
        truth: the probability of the true answer; the others share the rest equally.
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


def response_variances(answers: Vector, truth: float) -> Vector:
    """Return `response_variance` of each single count of `response_counts`, without a matrix."""
    lie = (1 - truth) / (len(answers) - 1)
    counts = response_counts(answers, truth)
    total = answers - truth**2 * counts - lie**2 * (answers.sum() - counts)
    return np.asarray(np.maximum(total, 0.0) / (truth - lie) ** 2)


def response_intervals(answers: Vector, truth: float, normal: float) -> tuple[Vector, Vector]:
    """Return the interval of each choice's true count, by test inversion (Wilson 1927).

    With c true ones an answer has the mean c·t + (N − c)·l and the variance c·t(1 − t) +
    (N − c)·l(1 − l), whatever the others are. Every c is included whose mean is within `normal`
    of these standard deviations, and half an answer, of the number answered. An error estimated
    from few lies would be too small: it misses the truth in up to a fifth of all releases.

    Args:
        answers: how often each choice was answered.
        truth: the probability of the true answer.
        normal: the number of standard deviations.
    """
    rows = float(answers.sum())
    lie = (1 - truth) / (len(answers) - 1)
    gain, spread, slope = truth - lie, rows * lie * (1 - lie), truth * (1 - truth) - lie * (1 - lie)
    square = normal**2

    def end(half: float) -> Vector:
        # (c·gain − over)² = normal²·(spread + c·slope): the outer root on the side of `half`.
        over = answers - rows * lie + half
        middle = 2 * gain * over + square * slope
        rest = np.maximum(middle**2 - 4 * gain**2 * (over**2 - square * spread), 0.0)
        found = (middle + np.sign(half) * np.sqrt(rest)) / (2 * gain**2)
        return np.asarray(np.clip(found, 0.0, rows), np.float64)

    return end(-0.5), end(0.5)


def response_prefix_variances(answers: Vector, truth: float, quantile: float) -> Vector:
    """Return `response_variance` of (count below each edge) − quantile · (all), at each edge.

    Args:
        answers: how often each cell was answered, in order.
        truth: the probability of the true answer.
        quantile: q in [0, 1]: a cell below the edge weighs 1 − q, another −q.
    """
    cells = len(answers)
    lie = (1 - truth) / (cells - 1)
    # The lie times the sum of weights.
    shift = np.asarray(lie * (np.arange(cells + 1) - quantile * cells), np.float64)
    below, above = 1 - quantile, -quantile
    answered = _split(answers, below**2, above**2)
    counts = response_counts(answers, truth)
    true = _split(
        counts, ((truth - lie) * below + shift) ** 2, ((truth - lie) * above + shift) ** 2
    )
    return np.asarray(np.maximum(answered - true, 0.0) / (truth - lie) ** 2)


def _split(values: Vector, below: Vector | float, above: Vector | float) -> Vector:
    """Return at each edge the sum of the values, with weights for those below and above."""
    sums = np.concatenate([np.zeros(1), np.cumsum(values)])
    return np.asarray(below * sums + above * (sums[-1] - sums))


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
