"""A model of trees in the JSON that `xgboost.Booster.load_model` reads; the library is not needed.

Format: XGBoost, "Introduction to Model IO" and its `doc/model.schema`. Its inputs are those of
`engines.preparation.feature_matrix`, NaN where a number is missing; a value goes left where it is
below `split_conditions`. Values of leaves of a number's label are in the label's own unit.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from secureflow.engines.trees.layout import (
    BIN,
    KIND,
    MISSING,
    VALUE,
    Floats,
    Layout,
    Parts,
    Whole,
    parts_of,
)

_VERSION: Final = [2, 1, 0]
_NO_PARENT: Final = 2147483647
_FORBIDDEN: Final = str.maketrans("[]<", "()_")
"""What the library takes in no name of an input."""


def xgboost_document(
    layout: Layout, model: Floats, names: list[str], unit: tuple[float, float] = (0.0, 1.0)
) -> dict[str, Any]:
    """Return the model as a JSON document.

    Args:
        layout: the job's.
        model: float32, the model's numbers.
        names: of the inputs.
        unit: of the label: the number that is scaled to 0, and one scaled unit.
    """
    parts, (middle, half) = parts_of(layout, model), unit
    count = min(parts.done, layout.trees)
    trees = [_tree(layout, parts, number, half) for number in range(count)]
    start = middle + half * layout.start if layout.squared else 1 / (1 + np.exp(-layout.start))
    objective = "reg:squarederror" if layout.squared else "binary:logistic"
    booster = {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(count)},
        "iteration_indptr": list(range(count + 1)),
        "tree_info": [0] * count,
        "trees": trees,
    }
    learner = {
        "attributes": {},
        "feature_names": [name.translate(_FORBIDDEN) for name in names],
        "feature_types": ["float"] * layout.numbers + ["i"] * layout.indicators,
        "gradient_booster": {"model": booster, "name": "gbtree"},
        "learner_model_param": {
            "base_score": f"{np.float32(start):.9g}",
            "boost_from_average": "0",
            "num_class": "0",
            "num_feature": str(layout.width),
            "num_target": "1",
        },
        "objective": {"name": objective, "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return {"learner": learner, "version": _VERSION}


def _tree(layout: Layout, parts: Parts, number: int, half: float) -> dict[str, Any]:
    """Return one tree: its nodes in the order of their places, without those that are none."""
    tree = parts.nodes[number]
    places = _reached(tree)
    order = {int(place): at for at, place in enumerate(places)}
    splits = tree[places, KIND] > 0
    inputs = np.where(splits, tree[places, KIND] - 1, 0).astype(int)
    children = [
        [order[2 * int(place) + side] if split else -1 for place, split in zip(places, splits,
                                                                               strict=True)]
        for side in (1, 2)
    ]  # fmt: skip
    values = (tree[places, VALUE].astype(np.float64) * half).astype(np.float32)
    borders = _borders(layout, parts, tree[places, BIN].astype(int), inputs)
    zeros = [0.0] * len(places)
    return {
        "base_weights": values.tolist(),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": (splits & (tree[places, MISSING] > 0)).astype(int).tolist(),
        "id": number,
        "left_children": children[0],
        "loss_changes": zeros,
        "parents": [order[(int(p) - 1) // 2] if p else _NO_PARENT for p in places],
        "right_children": children[1],
        "split_conditions": np.where(splits, borders, values).astype(np.float32).tolist(),
        "split_indices": inputs.tolist(),
        "split_type": [0] * len(places),
        "sum_hessian": zeros,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(layout.width),
            "num_nodes": str(len(places)),
            "size_leaf_vector": "1",
        },
    }


def _reached(tree: Floats) -> Whole:
    """Return the places of a tree's nodes, ascending."""
    found, level = [0], [0]
    while level:
        split = [place for place in level if tree[place, KIND] > 0]
        level = [2 * place + side for place in split for side in (1, 2)]
        found += level
    return np.array(found, np.int64)


def _borders(layout: Layout, parts: Parts, bins: Whole, inputs: Whole) -> Floats:
    """Return the number below which each node's values go left; of an indicator ½."""
    found = np.full(len(bins), 0.5, np.float32)
    numbers = inputs < layout.numbers
    if layout.numbers:
        found[numbers] = parts.edges[inputs[numbers], bins[numbers]]
    return found
