"""Rules that compare whole updates, from their inner products alone.

Every point that these rules visit is Σ aᵢ·xᵢ, so its distance to an update follows from the n × n
matrix of inner products: one reading of the updates gives the matrix, another one adds them up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_SMALL = 1e-12
"""What a distance counts as at least, as a share of the longest update (Pillutla et al. 2022)."""


def squared_distances(gram: Matrix) -> Matrix:
    """Return the squared distances of the updates, float64 (n, n)."""
    squares = np.diag(gram)
    return np.maximum(squares[:, None] + squares[None, :] - 2.0 * gram, 0.0)


def krum_scores(distances: Matrix, malicious: int) -> NDArray[np.float64]:
    """Return each update's sum of squared distances to its n − f − 2 nearest others, (n,)."""
    count = len(distances)
    others = np.sort(distances + np.diag(np.full(count, np.inf)), axis=1)
    return np.asarray(others[:, : max(count - malicious - 2, 1)].sum(axis=1))


def krum(gram: Matrix, malicious: int, select: int) -> NDArray[np.int64]:
    """Return the selected updates (Blanchard et al. 2017, Multi-Krum), sorted."""
    scores = krum_scores(squared_distances(gram), malicious)
    return np.sort(np.argsort(scores, kind="stable")[:select])


def bulyan_selection(gram: Matrix, malicious: int) -> NDArray[np.int64]:
    """Return the n − 2f updates that Krum selects one after the other, sorted.

    El Mhamdi et al. 2018, section 4, step 1.
    """
    left, distances = list(range(len(gram))), squared_distances(gram)
    chosen: list[int] = []
    while len(chosen) < len(gram) - 2 * malicious:
        among = distances[np.ix_(left, left)]
        chosen.append(left.pop(int(np.argmin(krum_scores(among, malicious)))))
    return np.sort(np.array(chosen, np.int64))


def geometric_median(gram: Matrix, iterations: int) -> NDArray[np.float64]:
    """Return how the updates count in their geometric median, (n,), adding up to 1.

    Weiszfeld's steps, smoothed (Pillutla et al. 2022, Algorithm 2).
    """
    count = len(gram)
    shares = np.full(count, 1.0 / count)
    least = _SMALL * max(float(np.sqrt(np.diag(gram).max())), 1e-30)
    for _ in range(iterations):
        away = np.maximum(_distances_to(gram, shares), least)
        moved = (1.0 / away) / (1.0 / away).sum()
        if np.abs(moved - shares).max() < 1e-12:
            break
        shares = moved
    return shares


def centered_clipping(gram: Matrix, radius: float, iterations: int) -> NDArray[np.float64]:
    """Return how the updates count in their clipped mean, (n,); it begins with no change.

    v ← v + 1/n · Σ (xᵢ − v) · min(1, τ/‖xᵢ − v‖) (Karimireddy, He and Jaggi 2021, section 4).
    """
    count = len(gram)
    shares = np.zeros(count)
    for _ in range(iterations):
        away = np.maximum(_distances_to(gram, shares), 1e-300)
        cut = np.minimum(1.0, radius / away) / count
        shares = shares * (1.0 - cut.sum()) + cut
    return shares


def _distances_to(gram: Matrix, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each update to Σ aᵢ·xᵢ, (n,)."""
    along = gram @ shares
    return np.sqrt(np.maximum(np.diag(gram) - 2.0 * along + float(shares @ along), 0.0))
