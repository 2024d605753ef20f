"""Edges of bins from counts of fine cells: about as many rows in each bin, and the same for all.

The cells of a number cut its bounds into equal widths. Where no more cells than bins have rows,
each of them is a bin of its own; else a bin ends with the cell with which it has its share of the
rows that are left. An edge is a border between cells: x is in the bin of index #{edges ≤ x}. This
is arithmetic on whole numbers, so that all find the same bits.
"""

from __future__ import annotations

import numpy as np

from secureflow.engines.trees.layout import NEVER, Floats, Layout, Whole


def borders(layout: Layout, number: int) -> Floats:
    """Return the borders between the fine cells of a number, ascending, (fine − 1,)."""
    low, high = layout.bounds[number]
    steps = np.arange(1, layout.fine, dtype=np.float64) / layout.fine
    return np.asarray(low + (high - low) * steps, np.float32)


def fine_counts(layout: Layout, inputs: Floats) -> Whole:
    """Return how many rows are in each fine cell of each number, (numbers · fine,)."""
    found = np.zeros((layout.numbers, layout.fine), np.int64)
    for number in range(layout.numbers):
        values = inputs[:, number]
        values = values[~np.isnan(values)]
        cells = np.searchsorted(borders(layout, number), values, side="right")
        found[number] = np.bincount(cells, minlength=layout.fine)
    return found.reshape(-1)


def edges_of(layout: Layout, counts: Whole) -> Floats:
    """Return the edges for counts over all parties, (numbers, bins − 1); unused ones are `NEVER`.

    Args:
        layout: the job's.
        counts: (numbers · fine,), none negative.
    """
    most = layout.model.bins - 1
    found = np.full((layout.numbers, most), NEVER, np.float32)
    for number, cells in enumerate(counts.reshape(layout.numbers, layout.fine)):
        ends = _ends([int(one) for one in cells], layout.model.bins)
        found[number, : len(ends)] = borders(layout, number)[ends]
    return found


def _ends(counts: list[int], bins: int) -> list[int]:
    """Return the cells with which bins end, but for the last bin."""
    filled = [at for at, count in enumerate(counts) if count]
    if len(filled) <= bins:
        return filled[:-1]
    ends: list[int] = []
    left, within = sum(counts), 0
    for at in filled[:-1]:
        within += counts[at]
        if len(ends) < bins - 1 and within * (bins - len(ends)) >= left:
            ends.append(at)
            left, within = left - within, 0
    return ends


def binned(layout: Layout, edges: Floats, inputs: Floats) -> Whole:
    """Return the cell of each input within its own, (rows, width); missing ones have the last.

    Args:
        layout: the job's.
        edges: (numbers, bins − 1).
        inputs: (rows, width), NaN where a number is missing.
    """
    found = np.empty(inputs.shape, np.int64)
    for number in range(layout.numbers):
        values = inputs[:, number]
        cells = np.searchsorted(edges[number], values, side="right")
        found[:, number] = np.where(np.isnan(values), layout.model.bins, cells)
    found[:, layout.numbers :] = inputs[:, layout.numbers :] >= 0.5
    return found
