"""Where rows end in trees, and what the trees say of them."""

from __future__ import annotations

import numpy as np

from secureflow.engines.trees.edges import binned
from secureflow.engines.trees.layout import (
    BIN,
    KIND,
    MISSING,
    VALUE,
    Floats,
    Layout,
    Parts,
    Vector,
    Whole,
    parts_of,
)


def places_of(layout: Layout, tree: Floats, cells: Whole, levels: int) -> Whole:
    """Return the place of each row after so many levels of a tree, (rows,).

    Args:
        layout: the job's.
        tree: its nodes, (places, 4).
        cells: of the rows, `edges.binned`.
        levels: how far rows go down; one that came to a node without a split stays there.
    """
    places = np.zeros(len(cells), np.int64)
    rows = np.arange(len(cells))
    inputs = np.maximum(tree[:, KIND], 1.0).astype(np.int64) - 1
    splits, lasts = tree[:, KIND] > 0, tree[:, BIN].astype(np.int64)
    lefts = tree[:, MISSING] > 0
    for _ in range(levels):
        own = inputs[places]
        cell = cells[rows, own]
        missing = (cell == layout.model.bins) & (own < layout.numbers)
        left = np.where(missing, lefts[places], cell <= lasts[places])
        places = np.where(splits[places], 2 * places + 2 - left, places)
    return places


def add_trees(
    layout: Layout, parts: Parts, cells: Whole, margins: Vector, first: int, last: int
) -> None:
    """Add what trees from `first` up to `last` say of rows to their margins, in place."""
    for tree in parts.nodes[first:last]:
        margins += tree[places_of(layout, tree, cells, layout.model.max_depth), VALUE]


def margins_of(layout: Layout, model: Floats, inputs: Floats) -> Floats:
    """Return what the whole trees of a model say of rows: log-odds, or the scaled number, (rows,).

    Args:
        layout: the job's.
        model: float32, the model's numbers.
        inputs: (rows, width).
    """
    parts = parts_of(layout, model)
    margins = np.full(len(inputs), layout.start)
    cells = binned(layout, parts.edges, inputs)
    add_trees(layout, parts, cells, margins, 0, min(parts.done, layout.trees))
    return margins.astype(np.float32)
