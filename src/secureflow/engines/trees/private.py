"""Histograms under differential privacy: what a row adds, and what becomes of the noised sums.

After Maddock et al. (2022), "Federated Boosted Decision Trees with Differential Privacy": noised
histograms of each level, and post-processing of them, which costs nothing. In a private job a
category's indicator has one cell, of its rows: the rest of the node follows from the node's total,
which stands in the other cell of the first indicator. So one row moves as many cells as there are
*columns* of categories, not indicators (`domain.specs.tree_privacy`).

What is grown from is made consistent first: every number's cells give the node's total once more,
with the noise of all of them. The mean of these, weighted by their noise, is the total, and each
number's difference to it is spread over its cells: least squares, in whole numbers.

A noised count may be negative, and a noised second derivative too small to divide by. So edges
follow from the running maximum of the counts' sums, and a side of a split must weigh `least`, a
multiple of its noise that everybody knows: the noise decides no leaf alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secureflow.engines.trees.edges import borders
from secureflow.engines.trees.layout import NEVER, Floats, Layout, Noised, Whole, split_sums
from secureflow.kit.errors import SecureFlowError


def cap(layout: Layout, noised: Noised, sums: Whole, *, known: bool) -> None:
    """Cut a party's sums in place to what the declared number of rows adds to each cell.

    Each cell is cut by itself, which moves no two neighbours apart: a party with more rows than are
    declared is no refusal that anybody could see.
    """
    for cells, low, high in _bounded(layout, noised, sums, known=known):
        np.clip(cells, low, high, out=cells)


def check_capped(layout: Layout, noised: Noised, sums: Whole, *, known: bool) -> None:
    """Refuse a party's sums that are not cut like that.

    Raises:
        SecureFlowError: `update_shape_wrong`, `value_out_of_bounds`.
    """
    if sums.shape != (layout.length,) or sums.dtype != np.int64:
        raise SecureFlowError(
            "update_shape_wrong", "The histograms do not have the shape of this job's trees."
        )
    if not _within(layout, noised, sums, known=known, parties=1, wide=0):
        raise SecureFlowError(
            "value_out_of_bounds", "A cell of the histograms is beyond the declared rows."
        )


def check_noised(layout: Layout, noised: Noised, sums: Whole, *, known: bool) -> None:
    """Refuse noised sums that no parties within the caps have.

    Raises:
        SecureFlowError: `model_inconsistent`.
    """
    parties, wide = noised.parties, noised.support
    right = sums.shape == (layout.length,)
    if right and _within(layout, noised, sums, known=known, parties=parties, wide=wide):
        return
    raise SecureFlowError(
        "model_inconsistent",
        "The noised sums of a level of the trees are beyond rows and noise.",
        "Refuse them: no contributors within the caps have these sums.",
    )


def _within(
    layout: Layout, noised: Noised, sums: Whole, *, known: bool, parties: int, wide: int
) -> bool:
    return all(
        int(cells.min(initial=0)) >= parties * low - wide
        and int(cells.max(initial=0)) <= parties * high + wide
        for cells, low, high in _bounded(layout, noised, sums, known=known)
    )


def _bounded(
    layout: Layout, noised: Noised, sums: Whole, *, known: bool
) -> Iterator[tuple[Whole, int, int]]:
    """Yield cells of a party's sums, views where they may be cut, with their least and largest."""
    rows, steps = noised.rows, noised.steps
    if not known:
        counts = layout.numbers * layout.fine
        yield sums[:counts], 0, rows * steps.count
        yield sums[counts:], 0, 0
        return
    gradients, seconds = split_sums(layout, sums)
    yield gradients, -rows * steps.slope, rows * steps.slope
    yield seconds, 0, rows * steps.curve
    unused = unused_cells(layout)
    yield gradients[:, unused], 0, 0
    yield seconds[:, unused], 0, 0
    yield sums[2 * layout.widest * layout.cells :], 0, 0


def unused_cells(layout: Layout) -> Whole:
    """Return the cells of a node that no row is in: the first cells of indicators but the first."""
    return layout.offsets[layout.numbers + 1 :]


def noised_edges(layout: Layout, counts: Whole) -> Floats:
    """Return the edges for noised counts, (numbers, bins − 1); unused ones are `NEVER`.

    A bin ends with the first cell by which its share of the rows is reached.
    """
    bins = layout.model.bins
    found = np.full((layout.numbers, bins - 1), NEVER, np.float32)
    for number, cells in enumerate(counts.reshape(layout.numbers, layout.fine)):
        below = np.maximum.accumulate(np.maximum(cells.cumsum(), 0))
        whole = int(below[-1])
        shares = np.arange(1, bins, dtype=np.int64)
        if whole <= 0:  # nothing but noise: equal widths
            ends = shares * layout.fine // bins - 1
        else:
            ends = np.searchsorted(below * bins, shares * whole, side="left")
        ends = np.unique(ends[ends < layout.fine - 1])
        found[number, : len(ends)] = borders(layout, number)[ends]
    return found


def consistent(layout: Layout, sums: Whole) -> Whole:
    """Return noised sums of some nodes, of which every input's cells add up to the same.

    Args:
        layout: the job's.
        sums: (nodes, cells); the cells of indicators as they were noised.
    """
    nodes, bins = len(sums), layout.model.bins + 1
    numeric = layout.numbers * bins
    found = sums.copy()
    numbers = found[:, :numeric].reshape(nodes, layout.numbers, bins)
    own = numbers.sum(axis=2)
    weight, total = layout.numbers, own.sum(axis=1)
    if layout.indicators:  # the total by itself has the noise of one cell
        weight, total = weight + bins, total + bins * sums[:, numeric]
    total = total // weight
    if layout.numbers:
        each, rest = np.divmod(total[:, None] - own, bins)
        numbers += each[:, :, None] + (np.arange(bins) < rest[:, :, None])
        found[:, :numeric] = numbers.reshape(nodes, numeric)
    ones = sums[:, numeric + 1 :: 2]
    found[:, numeric + 1 :: 2] = ones
    found[:, numeric::2] = total[:, None] - ones
    return found
