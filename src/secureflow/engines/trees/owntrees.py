"""Trees of one party each (`bagging`, `cyclic`): their form on the way, and what a round adds.

A party grows a whole tree alone (`owngrowing`) and sends it as whole numbers, four for each place:
what the node is (0 a leaf or nothing, k + 1 a split of input k), the last bin that goes left,
whether missing values go left, and of a leaf its value in steps of 2⁻²⁴. A split has no value, and
an unused place is zeros: one tree has one form. Who opens it takes no leaf beyond η · `MOST_STEP`
(the library's `max_delta_step` bounds leaves likewise), so that one tree moves no row further.

*Bagging* appends the trees of all contributors, each leaf divided by their number, so that a round
takes one step: not weighted by rows, so that nobody speaks louder by claiming more, and no scale
tells whose a tree is. They stand in the order of their bytes, which no party's place is in.
*Cyclic* appends one tree: of the party whose turn it is in the roster's order, or of the next one
that contributed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from secureflow.domain.specs.tree_families import NODE
from secureflow.engines.trees.layout import (
    BIN,
    DONE,
    KIND,
    MISSING,
    UNIT,
    VALUE,
    Floats,
    Layout,
    Whole,
    parts_of,
)
from secureflow.kit.errors import SecureFlowError

MOST_STEP: Final = 10.0
"""Largest step of one tree, before η: of log-odds, or of half the label's range."""


def most_steps(layout: Layout) -> int:
    """Return the largest value of a leaf, in steps of `UNIT`."""
    return int(layout.rate * MOST_STEP * UNIT)


def read_tree(layout: Layout, values: Whole) -> Whole:
    """Return a party's tree, (places, 4), a copy.

    Args:
        layout: the job's.
        values: what it sent, int64 (length,): its tree, then zeros.

    Raises:
        SecureFlowError: `tree_malformed`.
    """
    size = layout.model.nodes * NODE
    if values.shape != (layout.length,) or values.dtype != np.int64 or values[size:].any():
        raise _malformed()
    tree = values[:size].reshape(layout.model.nodes, NODE).copy()
    kinds, bins, missing, leaves = (tree[:, one] for one in (KIND, BIN, MISSING, VALUE))
    splits, numbers = kinds > 0, (kinds > 0) & (kinds <= layout.numbers)
    reached = _reached(splits)
    within = (
        ((kinds >= 0) & (kinds <= layout.width)).all()
        and not splits[layout.model.nodes // 2 :].any()
        and not (splits & ~reached).any()
        and ((bins >= 0) & (bins <= np.where(numbers, layout.model.bins - 2, 0))).all()
        and ((missing >= 0) & (missing <= numbers)).all()
        and not leaves[splits | ~reached].any()
        and int(leaves.max()) <= most_steps(layout)
        and int(leaves.min()) >= -most_steps(layout)
    )
    if not within:
        raise _malformed()
    return tree


def _reached(splits: np.ndarray) -> np.ndarray:
    """Return which places rows can come to, (places,)."""
    found = np.zeros(len(splits), bool)
    found[0] = True
    for place in range(len(splits) // 2):
        found[2 * place + 1 : 2 * place + 3] = found[place] and splits[place]
    return found


def with_trees(
    layout: Layout, model: Floats, trees: Mapping[str, Whole], roster: Sequence[str]
) -> Floats:
    """Return the model after a round, float32.

    Args:
        layout: the job's.
        model: before the round; unchanged.
        trees: of the round's contributors, as read.
        roster: every party, in the spec's order.
    """
    after = model.copy()
    parts, each = parts_of(layout, after), layout.model.each(len(roster))
    done = parts.done
    if layout.model.mode == "cyclic":
        taken = [next(trees[one] for one in _from(roster, done) if one in trees)]
    else:
        taken = sorted(trees.values(), key=lambda one: one.tobytes())
    for place, tree in enumerate(taken, done):
        parts.nodes[place] = tree
        parts.nodes[place, :, VALUE] = tree[:, VALUE] / UNIT / len(taken)
    parts.progress[DONE] = done + each
    return after


def _from(roster: Sequence[str], turn: int) -> Sequence[str]:
    """Return the roster from the party on whose turn it is."""
    first = turn % len(roster)
    return [*roster[first:], *roster[:first]]


def _malformed() -> SecureFlowError:
    return SecureFlowError(
        "tree_malformed",
        "What was sent is no tree of this job's form, or a leaf is larger than one step may be.",
        "Its party is left out: the agent and its worker must have the same version.",
    )
