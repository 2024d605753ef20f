"""Quantiles by test inversion (Woodruff 1952): intervals of all edges that noise leaves possible.

Let F(k) be the number of rows below edge k. At the q-quantile, F passes q·N. An unbiased
estimate T(k) of F(k) − q·N and its variance V(k) follow from the released slots, and an edge is
excluded only if |T(k)| > 1.96 √V(k). The interval is all cells that touch a remaining edge.
At q = 0 and 1 one end of it is the bound: noise hides whether one row is further out.

A quantile may be between two rows (as in `numpy.quantile`). Then F(k) is up to one row off, and
T(k) is allowed that difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.statistics.cells import (
    prefix_variances,
    response_counts,
    response_prefix_variances,
    tree_counts,
)

NORMAL: Final = 1.959964
"""95 % of a normal distribution lies within this many standard deviations."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The number of rows below each edge, and its uncertainty.

    Args:
        edges: of shape (cells + 1,), ascending.
        below: estimates of F at each edge, the first 0 and the last N.
        variances: from a quantile q to V at each edge.
    """

    edges: Vector
    below: Vector
    variances: Callable[[float], Vector]

    @property
    def rows(self) -> float:
        """The estimate of N."""
        return float(self.below[-1])

    def quantile(self, quantile: float) -> tuple[float, float, float]:
        """Return estimate, low and high of a quantile in [0, 1]; N must be positive."""
        # The truth is never below 0 or above N: an estimate beyond that excludes nothing.
        short = np.clip(self.below, 0.0, self.rows) - quantile * self.rows
        margin = NORMAL * np.sqrt(self.variances(quantile))
        reached = short[1:] >= -quantile - margin[1:]  # otherwise it is behind this cell
        ahead = short[:-1] <= (1 - quantile) + margin[:-1]  # otherwise it is before this cell
        low = float(self.edges[int(np.argmax(reached))])
        high = float(self.edges[len(ahead) - int(np.argmax(ahead[::-1]))])
        return min(max(self._passing(short, quantile), low), high), low, high

    def _passing(self, short: Vector, quantile: float) -> float:
        """Return where the curve crosses 0; under noise it does so several times.

        Below the smallest row and above the largest, F is constant and only noise moves it: so the
        last crossing has more weight the smaller the quantile, and the first the larger it is.
        """
        first = max(int(np.argmax(short >= 0)), 1)
        last = len(short) - 1 - int(np.argmax((short <= 0)[::-1]))
        latest = self._line(short, min(last + 1, len(short) - 1))
        return (1 - quantile) * latest + quantile * self._line(short, first)

    def _line(self, short: Vector, at: int) -> float:
        """Return where the line from the previous edge to this one crosses 0."""
        before, after = float(short[at - 1]), float(short[at])
        share = -before / (after - before) if after > before else 0.5
        start, end = float(self.edges[at - 1]), float(self.edges[at])
        return start + min(max(share, 0.0), 1.0) * (end - start)


def noised(nodes: Vector, widths: tuple[int, ...], edges: Vector, error: float) -> Curve:
    """Return the curve of a tree whose nodes have independent noise of this standard deviation."""
    cells = len(edges) - 1
    own, shared = prefix_variances(widths, cells)

    def variances(quantile: float) -> Vector:
        spread = own - 2 * quantile * shared + quantile**2 * own[-1]
        return np.asarray(np.maximum(spread, 0.0) * error**2)

    return Curve(edges, _cumulated(tree_counts(nodes, widths, cells)), variances)


def answered(answers: Vector, truth: float, edges: Vector) -> Curve:
    """Return the curve of cells that were answered at random (`response_counts`)."""

    def variances(quantile: float) -> Vector:
        return response_prefix_variances(answers, truth, quantile)

    return Curve(edges, _cumulated(response_counts(answers, truth)), variances)


def _cumulated(counts: Vector) -> Vector:
    return np.concatenate([np.zeros(1), np.cumsum(counts)])
