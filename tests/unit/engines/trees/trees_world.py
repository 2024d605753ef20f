"""Jobs of trees on the small tables of `family_world`, and a builder of our own to compare with.

The builder grows trees from all rows in one place, node by node and candidate by candidate, in
whole numbers and Python's own floats: what it shares with `engines.trees` is the definition.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from unit.engines.training.family_world import spec

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.trees.layout import UNIT, Layout

Tree = dict[int, tuple[float, ...]]
"""Place → (input, bin, missing left, value) of a split, or (value,) of a leaf."""


def job_of(target: str = "binary", parties: int = 3, **more: Any) -> TrainingSpec:
    """A checked job of a few low trees."""
    model = {"max_depth": 3, "bins": 8, "min_node_rows": 10, **more.pop("model", {})}
    plan = {"rounds": 3, "learning_rate": 0.5, **more.pop("plan", {})}
    return spec("xgboost", target, parties, model=model, plan=plan, **more)


def reference(
    layout: Layout, cells: np.ndarray, labels: np.ndarray
) -> tuple[list[Tree], np.ndarray]:
    """Grow all trees from the bins of all rows; return them, and the rows' margins."""
    margins = np.full(len(labels), layout.start)
    trees = []
    for _ in range(layout.trees):
        if layout.squared:
            first, second = margins - labels, np.ones(len(labels))
        else:
            chance = 1.0 / (1.0 + np.exp(-margins))
            first, second = chance - labels, chance * (1.0 - chance)
        gradients = [int(one) for one in np.rint(first * UNIT)]
        seconds = [int(one) for one in np.rint(second * UNIT)]
        tree: Tree = {}
        _node(layout, cells, gradients, seconds, list(range(len(labels))), 0, 0, tree, margins)
        trees.append(tree)
    return trees, margins


def _node(
    layout: Layout, cells: np.ndarray, g: list[int], h: list[int], rows: list[int],
    place: int, level: int, tree: Tree, margins: np.ndarray,
) -> None:  # fmt: skip
    total = sum(g[r] for r in rows), sum(h[r] for r in rows)
    value = float(np.float32(-layout.rate * _ratio(layout, *total)))
    opened = level == 0 or total[1] / UNIT >= layout.model.min_node_rows * layout.steepest
    found = _best(layout, cells, g, h, rows, total) if opened else None
    if found is None or level == layout.model.max_depth:
        tree[place] = (value,)
        margins[rows] += value
        return
    column, last, missing = found
    left = [r for r in rows if _left(layout, cells[r, column], column, last, missing)]
    kept = set(left)
    tree[place] = (column, last, missing, 0.0)
    for side, some in ((1, left), (2, [r for r in rows if r not in kept])):
        at = 2 * place + side
        _node(layout, cells, g, h, some, at, level + 1, tree, margins)


def _left(layout: Layout, cell: int, column: int, last: int, missing: bool) -> bool:
    if column < layout.numbers and cell == layout.model.bins:
        return missing
    return bool(cell <= last)


def _ratio(layout: Layout, gradient: int, second: int) -> float:
    return (gradient / UNIT) / (second / UNIT + layout.model.reg_lambda)


def _best(
    layout: Layout, cells: np.ndarray, g: list[int], h: list[int], rows: list[int],
    total: tuple[int, int],
) -> tuple[int, int, bool] | None:  # fmt: skip
    best, chosen = 5e-7, None
    for column in range(layout.width):
        number = column < layout.numbers
        for last in range(layout.model.bins - 1 if number else 1):
            for missing in (False, True) if number else (False,):
                some = [r for r in rows if _left(layout, cells[r, column], column, last, missing)]
                left = sum(g[r] for r in some), sum(h[r] for r in some)
                gain = _gain(layout, left, total)
                if gain > best:
                    best, chosen = gain, (column, last, missing)
    return chosen


def _gain(layout: Layout, left: tuple[int, int], total: tuple[int, int]) -> float:
    right = total[0] - left[0], total[1] - left[1]
    if min(left[1], right[1]) / UNIT < layout.model.min_child_weight:
        return -math.inf
    scores = [(one[0] / UNIT) * (one[0] / UNIT) / (one[1] / UNIT + layout.model.reg_lambda)
              for one in (left, right, total)]  # fmt: skip
    return 0.5 * (scores[0] + scores[1] - scores[2]) - layout.model.gamma
