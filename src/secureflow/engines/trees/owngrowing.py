"""How a party grows a whole tree on its own rows, from the margins of all trees so far.

Level by level from histograms, as all rows in one place would be (`splits`), with two differences:
rows are a share that is drawn anew for each tree (`subsample`, of the seed of the job's secret and
the model, so that an agent that was killed makes the same tree again), and each leaf has at least
`min_leaf_rows` of them: a leaf's value is close to the mean label of its rows.
"""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.tree_families import NODE
from secureflow.engines.trees.growing import write_level
from secureflow.engines.trees.layout import KIND, OPEN, UNIT, VALUE, Floats, Layout, Vector, Whole
from secureflow.engines.trees.owntrees import most_steps
from secureflow.engines.trees.rows import Rows
from secureflow.engines.trees.splits import best_splits, leaf_value


def own_tree(rows: Rows, model: Floats, seed: bytes) -> Whole:
    """Return what a party sends in a round of trees, int64 (length,); bit-equal when repeated.

    Args:
        rows: the party's.
        model: float32, the model's numbers; its edges are known.
        seed: of the round.
    """
    layout = rows.layout
    chosen = _chosen(layout, len(rows.labels), seed)
    first, second = rows.derivatives(model)
    values = first * chosen, second * chosen, chosen
    tree = np.zeros((layout.model.nodes, NODE), np.float32)
    if int(chosen.sum()) >= layout.model.min_leaf_rows:
        _grow(rows, tree, values)
    found = np.zeros(layout.length, np.int64)
    found[: tree.size] = _sent(layout, tree).reshape(-1)
    return found


def _chosen(layout: Layout, count: int, seed: bytes) -> Whole:
    """Return 1 for each row that the tree is grown on, else 0, (rows,).

    From raw words of a generator, which no version of NumPy changes (`training.order`).
    """
    words = np.random.PCG64(int.from_bytes(seed, "big")).random_raw(count)
    share = int(layout.model.subsample * (1 << 53))
    return ((np.asarray(words) >> np.uint64(11)) < np.uint64(share)).astype(np.int64)


def _grow(rows: Rows, tree: Floats, values: tuple[Whole, Whole, Whole]) -> None:
    layout, depth = rows.layout, rows.layout.model.max_depth
    first, second, _ = values
    tree[0, VALUE] = _leaf(layout, first, second)
    places = np.zeros(1, np.int64)
    for level in range(depth):
        start = (1 << level) - 1
        tables = rows.histograms(tree, level, places, values)
        gradients, seconds, counts = (one[places - start] for one in tables)
        splits = best_splits(layout, gradients, seconds, counts)
        write_level(layout, tree, places, splits, last=level + 1 == depth)
        begins = 2 * start + 1
        places = begins + np.flatnonzero(tree[begins : 2 * begins + 1, KIND] == OPEN)
        if not len(places):
            return


def _leaf(layout: Layout, first: Whole, second: Whole) -> float:
    sums = np.array([first.sum()]), np.array([second.sum()])
    return float(leaf_value(layout, *sums)[0])


def _sent(layout: Layout, tree: Floats) -> Whole:
    """Return a tree in the form in which it is sent: only leaves have a value, within the cap."""
    found = np.zeros(tree.shape, np.int64)
    splits = tree[:, KIND] > 0
    found[splits, :VALUE] = tree[splits, :VALUE]
    steps: Vector = np.rint(tree[:, VALUE].astype(np.float64) * UNIT)
    most = float(most_steps(layout))
    found[:, VALUE] = np.where(splits, 0, np.nan_to_num(np.clip(steps, -most, most)))
    return found
