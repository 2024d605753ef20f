"""The best split of each node from its histogram (Chen and Guestrin 2016, equation 7).

    gain = ½ (G_L² / (H_L + λ) + G_R² / (H_R + λ) − G² / (H + λ)) − γ

Both sides need H ≥ `min_child_weight`, and a split a gain above `LEAST`. Rows with a missing number
are tried on the right, then on the left (the paper's algorithm 3). Of equal gains the first input's
counts, then the lowest bin's, then the right. Sums are whole numbers until they are divided, and
each operation is correctly rounded (+, −, ·, /): all that have the sums find the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.trees.layout import Layout, Vector, Whole

LEAST: Final = 5e-7
"""Smaller gains are rounding: half of what the library of the paper's authors asks."""


@dataclass(frozen=True)
class Splits:
    """The best split of each of some nodes.

    Args:
        found: whether there is one, (nodes,).
        input: of the split.
        bin: the last one that goes left.
        missing: whether missing values go left.
        left: Σ gradients and Σ second derivatives of what goes left, (2, nodes), whole.
        whole: the same of the node.
    """

    found: NDArray[np.bool_]
    input: Whole
    bin: Whole
    missing: NDArray[np.bool_]
    left: Whole
    whole: Whole


@dataclass(frozen=True)
class _Tried:
    """Splits that are tried: Σ gradients and Σ second derivatives of the left, (nodes, tried)."""

    gradients: Whole
    seconds: Whole


def best_splits(
    layout: Layout, gradients: Whole, seconds: Whole, counts: Whole | None = None
) -> Splits:
    """Return the best split of each node.

    Args:
        layout: the job's.
        gradients: Σ of each cell, (nodes, cells).
        seconds: the same of second derivatives; of each input the same sums, as of `gradients`.
        counts: the rows of each cell, where each side must have `min_leaf_rows` of them.
    """
    first = layout.model.bins + 1 if layout.numbers else 2
    whole = np.stack([gradients[:, :first].sum(axis=1), seconds[:, :first].sum(axis=1)])
    tried = _Tried(_lefts(layout, gradients), _lefts(layout, seconds))
    gains = _gains(layout, tried, whole)
    if counts is not None:
        lefts, rows = _lefts(layout, counts), counts[:, :first].sum(axis=1)[:, None]
        fewest = np.minimum(lefts, rows - lefts)
        gains = np.where(fewest >= layout.model.min_leaf_rows, gains, -np.inf)
    best = gains.argmax(axis=1)
    nodes = np.arange(len(best))
    numeric = layout.numbers * (layout.model.bins - 1) * 2
    on_number = best < numeric
    # A number's splits are (input, bin, side of the missing); an indicator has one.
    number, rest = np.divmod(best, max(2 * (layout.model.bins - 1), 1))
    return Splits(
        gains[nodes, best] > LEAST,
        np.where(on_number, number, layout.numbers + best - numeric),
        np.where(on_number, rest // 2, 0),
        on_number & (rest % 2 == 1),
        np.stack([tried.gradients[nodes, best], tried.seconds[nodes, best]]),
        whole,
    )


def joined(parts: Sequence[Splits]) -> Splits:
    """Return the splits of some nodes, then those of the next ones, as of all of them."""
    if len(parts) == 1:
        return parts[0]
    members = zip(*(vars(one).values() for one in parts), strict=True)
    return Splits(*(np.concatenate(one, axis=-1) for one in members))


def leaf_value(layout: Layout, gradients: Whole, seconds: Whole) -> Vector:
    """Return what is added for the rows of a leaf: −η G / (H + λ); 0 where there are none.

    A noised H counts as no less than `least`: else a root's could be near zero.
    """
    first, weight = gradients / layout.unit, seconds / layout.unit
    if layout.noised is not None:
        weight = np.maximum(weight, layout.least)
    second = weight + layout.model.reg_lambda
    found = second > 0
    return np.asarray(-layout.rate * (first * found / np.where(found, second, 1.0)))


def _lefts(layout: Layout, sums: Whole) -> Whole:
    """Return what goes left with each split that is tried, (nodes, tried)."""
    nodes, bins = len(sums), layout.model.bins
    numeric = layout.numbers * (bins + 1)
    numbers = sums[:, :numeric].reshape(nodes, layout.numbers, bins + 1)
    below = np.cumsum(numbers[:, :, : bins - 1], axis=2)
    missing = numbers[:, :, bins:]
    both = np.stack([below, below + missing], axis=3).reshape(nodes, -1)
    indicators = sums[:, numeric:].reshape(nodes, layout.indicators, 2)[:, :, 0]
    return np.concatenate([both, indicators], axis=1)


def _gains(layout: Layout, tried: _Tried, whole: Whole) -> Vector:
    """Return the gain of each split that is tried; −∞ where a side is too light."""
    penalty, least, unit = layout.model.reg_lambda, layout.least, layout.unit
    gradient, second = tried.gradients / unit, tried.seconds / unit
    others = (whole[0][:, None] - tried.gradients) / unit
    seconds = (whole[1][:, None] - tried.seconds) / unit
    node = whole / unit
    before = node[0] * node[0] / np.maximum(node[1] + penalty, 1e-16)
    allowed = (second >= least) & (seconds >= least)
    right = np.where(allowed, seconds + penalty, 1.0)
    left = np.where(allowed, second + penalty, 1.0)
    gains = gradient * gradient / left + others * others / right - before[:, None]
    return np.where(allowed, 0.5 * gains - layout.model.gamma, -np.inf)
