"""The next model from a model and the sums of a round: what enclave, centre and agents compute.

Round 1 gives the edges. Then each tree takes one round for each of its levels, also where none of
its nodes is open any more, so that rounds and trees keep step. A node stays open only if its second
derivatives say that at least `min_node_rows` rows are in it (each row has at most ¼, or 1 of the
squared loss).
"""

from __future__ import annotations

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
    UNIT,
    VALUE,
    Floats,
    Layout,
    Parts,
    Whole,
    parts_of,
)
from secureflow.engines.trees.splits import Splits, best_splits, leaf_value
from secureflow.kit.errors import SecureFlowError


def open_nodes(layout: Layout, parts: Parts) -> Whole:
    """Return the places of the nodes whose histograms the next round adds up, ascending."""
    if parts.done >= layout.trees:
        return np.zeros(0, np.int64)
    if not parts.level:
        return np.zeros(1, np.int64)
    first = (1 << parts.level) - 1
    kinds = parts.nodes[parts.done, first : 2 * first + 1, KIND]
    return first + np.flatnonzero(kinds == OPEN)


def split_sums(layout: Layout, sums: Whole) -> tuple[Whole, Whole]:
    """Return Σ gradients and Σ second derivatives of a level, (widest, cells) each; views."""
    half = layout.widest * layout.cells
    shape = (layout.widest, layout.cells)
    return sums[:half].reshape(shape), sums[half : 2 * half].reshape(shape)


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
    check_sums(layout, sums, known=parts.known)
    if not parts.known:
        if layout.numbers:
            parts.edges[:] = edges_of(layout, sums[: layout.numbers * layout.fine])
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
        rows = places - ((1 << level) - 1)
        gradients, seconds = (one[rows] for one in split_sums(layout, sums))
        splits = best_splits(layout, gradients, seconds)
        if not level:
            tree[0, VALUE] = leaf_value(layout, *splits.whole)[0]
        write_level(layout, tree, places, splits, last=level + 1 == layout.model.max_depth)
    parts.progress[LEVEL] = level + 1
    if level + 1 == layout.model.max_depth:
        parts.progress[LEVEL], parts.progress[DONE] = 0, parts.done + 1


def write_level(layout: Layout, tree: Floats, places: Whole, splits: Splits, *, last: bool) -> None:
    """Write what became of open nodes, and the children of those that are split."""
    tree[places, KIND] = np.where(splits.found, splits.input + 1.0, LEAF)
    split = places[splits.found]
    tree[split, BIN] = splits.bin[splits.found]
    tree[split, MISSING] = splits.missing[splits.found]
    left, whole = splits.left[:, splits.found], splits.whole[:, splits.found]
    least = layout.model.min_node_rows * layout.steepest
    for side, sums in ((1, left), (2, whole - left)):
        children = 2 * split + side
        tree[children, VALUE] = leaf_value(layout, *sums)
        stays = (sums[1] / UNIT >= least) & (not last)
        tree[children, KIND] = np.where(stays, OPEN, LEAF)


def _inconsistent() -> SecureFlowError:
    return SecureFlowError(
        "model_inconsistent",
        "The sums of a level of the trees are none that rows have.",
        "Refuse them: no contributors within the caps have these sums.",
    )
