"""Exact Shapley values of small games (Shapley 1953).

φᵢ = Σ over S without i of |S|!·(n − |S| − 1)!/n! · (v(S ∪ i) − v(S)). Coalitions are bit masks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Value = Callable[[int], Floats]
"""From a coalition to its value as each player sees it, float64 (n,)."""

MAX_EXACT: Final = 16
"""Players of a game of which every coalition may be valued: 65,536 coalitions."""


def coalitions(players: int) -> int:
    """Return how many coalitions there are besides nobody and everybody."""
    return (1 << players) - 2


def shapley(players: int, value: Value) -> Floats:
    """Return the Shapley value of each player, float64 (n,); each coalition is valued once.

    Args:
        players: 1 to `MAX_EXACT`.
        value: entry i of its answers counts for player i alone.
    """
    if not 1 <= players <= MAX_EXACT:
        raise ValueError(f"{players} players: every coalition of 1 to {MAX_EXACT} can be valued")
    values = np.stack([value(mask) for mask in range(1 << players)])
    scores = np.zeros(players)
    for mask in range(1 << players):
        size = mask.bit_count()
        if size == players:
            continue
        share = 1.0 / (players * comb(players - 1, size))
        for player in range(players):
            if not mask >> player & 1:
                scores[player] += share * (values[mask | 1 << player] - values[mask])[player]
    return scores
