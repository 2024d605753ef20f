"""The next model from a model and the sums of a round: what enclave, centre and agents compute.

Round 1 gives the edges. Then each tree takes one round for each of its levels, also where none of
its nodes is open any more, so that rounds and trees keep step. A node stays open only if its second
derivatives say that at least `min_node_rows` rows are in it (each row has at most ¼, or 1 of the
squared loss).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from secureflow.engines.trees.edges import edges_of
from secureflow.engines.trees.layout import (
    BIN,
    DONE,
    KIND,
    KNOWN,
    LEAF,
    LEVEL,
    LIMIT,
    MISSING,
    OPEN,
    VALUE,
    Floats,
    Layout,
    Parts,
    Whole,
    parts_of,
    split_sums,
)
from secureflow.engines.trees.private import check_noised, consistent, noised_edges
from secureflow.engines.trees.splits import Splits, best_splits, joined, leaf_value
from secureflow.kit.errors import SecureFlowError

AT_ONCE: Final = 1 << 20
"""Cells whose splits are tried at a time: some ten numbers are held for each."""


def open_nodes(layout: Layout, parts: Parts) -> Whole:
    """Return the places of the nodes whose histograms the next round adds up, ascending."""
    if parts.done >= layout.trees:
        return np.zeros(0, np.int64)
    if not parts.level:
        return np.zeros(1, np.int64)
    first = (1 << parts.level) - 1
    kinds = parts.nodes[parts.done, first : 2 * first + 1, KIND]
    return first + np.flatnonzero(kinds == OPEN)


def next_model(layout: Layout, model: Floats, sums: Whole) -> Floats:
    """Return the model after a round, float32, finite.

    Args:
        layout: the job's.
        model: before the round; unchanged.
        sums: over all contributors, (length,).

    Raises:
        SecureFlowError: `model_inconsistent` for sums that no rows have; `model_not_finite`.
    """
    after = model.copy()
    parts = parts_of(layout, after)
    if layout.noised is None:
        check_sums(layout, sums, known=parts.known)
    else:
        check_noised(layout, layout.noised, sums, known=parts.known)
    if not parts.known:
        if layout.numbers:
            edges = edges_of if layout.noised is None else noised_edges
            parts.edges[:] = edges(layout, sums[: layout.numbers * layout.fine])
        parts.progress[KNOWN] = 1
    elif parts.done < layout.trees:
        _grow(layout, parts, sums)
    if not np.isfinite(after).all():
        raise SecureFlowError(
            "model_not_finite",
            "The next model is not finite.",
            "Raise model.min_child_weight or model.reg_lambda.",
        )
    return after


def check_sums(layout: Layout, sums: Whole, *, known: bool, parties: int = 256) -> None:
    """Refuse sums that no rows of so many parties have.

    Raises:
        SecureFlowError: `model_inconsistent`.
    """
    if sums.shape != (layout.length,):
        raise _inconsistent()
    counts = sums[layout.widest * layout.cells :] if known else sums
    within = parties * LIMIT
    if (counts < 0).any() or int(sums.max()) > within or int(sums.min()) < -within:
        raise _inconsistent()


def _grow(layout: Layout, parts: Parts, sums: Whole) -> None:
    """Write one level of the tree that grows, in place."""
    tree, level = parts.nodes[parts.done], parts.level
    places = open_nodes(layout, parts)
    if len(places):
        splits = _splits(layout, places - ((1 << level) - 1), sums)
        write_level(layout, tree, places, splits, last=level + 1 == layout.model.max_depth)
    parts.progress[LEVEL] = level + 1
    if level + 1 == layout.model.max_depth:
        parts.progress[LEVEL], parts.progress[DONE] = 0, parts.done + 1


def _splits(layout: Layout, rows: Whole, sums: Whole) -> Splits:
    """Return the best split of each open node; a few at a time, as they hold many copies."""
    found, some = [], max(1, AT_ONCE // layout.cells)
    for first in range(0, len(rows), some):
        part = rows[first : first + some]
        gradients, seconds = (one[part] for one in split_sums(layout, sums))
        if layout.noised is not None:
            gradients, seconds = consistent(layout, gradients), consistent(layout, seconds)
        found.append(best_splits(layout, gradients, seconds))
    return joined(found)


def write_level(layout: Layout, tree: Floats, places: Whole, splits: Splits, *, last: bool) -> None:
    """Write what became of open nodes, and the children of those that are split.

    Only a leaf has a value: with those of its inner nodes a tree would show how many rows each has,
    as a node's is the mean of its children's.
    """
    tree[places, KIND] = np.where(splits.found, splits.input + 1.0, LEAF)
    tree[places, VALUE] = np.where(splits.found, 0.0, leaf_value(layout, *splits.whole))
    split = places[splits.found]
    tree[split, BIN] = splits.bin[splits.found]
    tree[split, MISSING] = splits.missing[splits.found]
    left, whole = splits.left[:, splits.found], splits.whole[:, splits.found]
    least = layout.model.min_node_rows * layout.steepest
    if layout.noised is not None:
        least = max(least, 2 * layout.least)
    for side, sums in ((1, left), (2, whole - left)):
        children = 2 * split + side
        stays = (sums[1] / layout.unit >= least) & (not last)
        tree[children, VALUE] = np.where(stays, 0.0, leaf_value(layout, *sums))
        tree[children, KIND] = np.where(stays, OPEN, LEAF)


def _inconsistent() -> SecureFlowError:
    return SecureFlowError(
        "model_inconsistent",
        "The sums of a level of the trees are none that rows have.",
        "Refuse them: no contributors within the caps have these sums.",
    )
