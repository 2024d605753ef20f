"""Rules that treat each coordinate by itself: median and trimmed means.

`block` is float64 (n, c): of c coordinates the changes of n parties.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float64]


def median(block: Block) -> Block:
    """Return the median of each coordinate (Yin et al. 2018, Definition 1), float64 (c,)."""
    return np.asarray(np.median(block, axis=0))


def trimmed_mean(block: Block, trim: int) -> Block:
    """Return the mean without the `trim` ends (Yin et al. 2018, Definition 2), float64 (c,)."""
    kept = np.sort(block, axis=0)[trim : len(block) - trim]
    return np.asarray(kept.mean(axis=0))


def nearest_mean(block: Block, count: int) -> Block:
    """Return the mean of the `count` values nearest to the median, float64 (c,).

    The last step of Bulyan (El Mhamdi et al. 2018, section 4).
    """
    away = np.abs(block - np.median(block, axis=0))
    nearest = np.argsort(away, axis=0, kind="stable")[:count]
    return np.asarray(np.take_along_axis(block, nearest, axis=0).mean(axis=0))
