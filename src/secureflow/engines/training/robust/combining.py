"""From single updates to what takes the place of their mean, block by block.

`Updates` are read as often as a rule needs it: a simulation holds them in memory, an enclave on its
disk (`enclave.spill`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.robust import (
    Bulyan,
    CenteredClipping,
    GeometricMedian,
    Krum,
    Median,
    Robust,
    TrimmedMean,
)
from secureflow.engines.training.robust.coordinates import median, nearest_mean, trimmed_mean
from secureflow.engines.training.robust.distances import (
    bulyan_selection,
    centered_clipping,
    geometric_median,
    krum,
)

Block = NDArray[np.float64]


class Updates(Protocol):
    """The updates of one round, in the order of their parties' names."""

    def __len__(self) -> int:
        """Return how many there are."""

    def blocks(self) -> Iterator[tuple[slice, Block]]:
        """Yield each place and its values of all updates, float64 (n, c)."""


def combined(rule: Robust, updates: Updates, target: NDArray[np.float32]) -> None:
    """Write what takes the place of the mean.

    Args:
        rule: of the job's plan.
        updates: at least `domain.specs.robust.least_parties` of them.
        target: float32 (d,).
    """
    if isinstance(rule, Median):
        _each(updates, target, median)
    elif isinstance(rule, TrimmedMean):
        _each(updates, target, lambda block: trimmed_mean(block, rule.trim))
    elif isinstance(rule, Bulyan):
        chosen = bulyan_selection(gram_of(updates), rule.malicious)
        # θ − 2f of the θ = n − 2f that were selected.
        count = max(len(chosen) - 2 * rule.malicious, 1)
        _each(updates, target, lambda block: nearest_mean(block[chosen], count))
    else:
        shares = _shares(rule, gram_of(updates))
        _each(updates, target, lambda block: shares @ block)


def _shares(rule: Krum | GeometricMedian | CenteredClipping, gram: Block) -> Block:
    if isinstance(rule, GeometricMedian):
        return geometric_median(gram, rule.iterations)
    if isinstance(rule, CenteredClipping):
        return centered_clipping(gram, rule.radius, rule.iterations)
    shares = np.zeros(len(gram))
    shares[krum(gram, rule.malicious, rule.select)] = 1.0 / rule.select
    return shares


def gram_of(updates: Updates) -> Block:
    """Return the inner products of the updates, float64 (n, n)."""
    gram = np.zeros((len(updates), len(updates)))
    for _, block in updates.blocks():
        gram += block @ block.T
    return gram


def _each(updates: Updates, target: NDArray[np.float32], one: Callable[[Block], Block]) -> None:
    for part, block in updates.blocks():
        target[part] = one(block)
