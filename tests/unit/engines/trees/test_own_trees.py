"""Trees that parties grow alone: as the definition says, of a checked form, without names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import shares
from unit.engines.trees.trees_world import job_of, reference

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import NODE
from secureflow.engines.preparation import declared_moments, design_matrix
from secureflow.engines.training.models import initial_state
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.edges import binned
from secureflow.engines.trees.forest import margins_of, places_of
from secureflow.engines.trees.growing import next_model
from secureflow.engines.trees.layout import BIN, DONE, KIND, MISSING, UNIT, VALUE, parts_of
from secureflow.engines.trees.owngrowing import own_tree
from secureflow.engines.trees.owntrees import MOST_STEP, most_steps, read_tree, with_trees
from secureflow.engines.trees.rows import Rows
from secureflow.kit.errors import SecureFlowError

ROSTER = ("bank-0", "bank-1", "bank-2")
SEED = bytes(range(32))


def own(target: str = "binary", mode: str = "bagging", **more: Any) -> TrainingSpec:
    model = {"mode": mode, "min_node_rows": 1, **more.pop("model", {})}
    return job_of(target, model=model, plan={"validation": 0.0, **more.pop("plan", {})}, **more)


def rows_of(job: TrainingSpec, part: int = 2) -> Rows:
    assert job.features is not None
    inputs = design_matrix(job.features, declared_moments(job.features), shares()[part])
    return Rows(layout_of(job), *inputs)


def begun(job: TrainingSpec, rows: Rows) -> np.ndarray:
    """The model whose edges are known, without a tree."""
    start = initial_state(job)
    return next_model(layout_of(job), start, rows.sums(start))


def sent(job: TrainingSpec, part: int = 2, seed: bytes = SEED) -> np.ndarray:
    rows = rows_of(job, part)
    return own_tree(rows, begun(job, rows_of(job)), seed)


def test_it_is_the_tree_that_its_rows_give() -> None:
    """Where second derivatives count rows, least weights are least rows."""
    job = own("number", model={"min_leaf_rows": 5, "min_child_weight": 5.0}, plan={"rounds": 1})
    rows = rows_of(job)
    model, layout = begun(job, rows), layout_of(job)
    tree = read_tree(layout, own_tree(rows, model, SEED))
    assert job.features is not None
    inputs, labels = design_matrix(job.features, declared_moments(job.features), shares()[2])
    cells = binned(layout, parts_of(layout, model).edges, inputs)
    (expected, *_), _ = reference(layout, cells, labels.astype(np.float64))
    assert sum(len(node) > 1 for node in expected.values()) > 3  # it splits
    for place, node in expected.items():
        kind, last, missing, value = (int(one) for one in tree[place])
        if len(node) == 1:
            assert (kind, last, missing) == (0, 0, 0)
            assert value == round(float(np.float32(node[0])) * UNIT)
        else:
            assert (kind - 1, last, bool(missing)) == node[:3]
            assert value == 0  # what a split's rows are on average stays at the party
    assert {int(one) for one in np.flatnonzero(tree.any(axis=1))} <= set(expected)


@pytest.mark.parametrize("least", [5, 20, 60])
def test_each_leaf_has_its_rows(least: int) -> None:
    job = own(model={"min_leaf_rows": least, "min_child_weight": 1e-9, "max_depth": 5})
    layout, rows = layout_of(job), rows_of(job)
    model = begun(job, rows)
    tree = read_tree(layout, own_tree(rows, model, SEED))
    assert job.features is not None
    inputs, _ = design_matrix(job.features, declared_moments(job.features), shares()[2])
    cells = binned(layout, parts_of(layout, model).edges, inputs)
    _, counts = np.unique(places_of(layout, tree, cells, 5), return_counts=True)
    assert counts.min() >= least
    assert len(counts) > 1


def test_too_few_rows_give_no_tree() -> None:
    job = own(model={"min_leaf_rows": 10_000})
    assert not sent(job).any()


def test_rows_are_drawn_from_the_seed_and_the_tree_is_made_again(tmp_path: Path) -> None:
    """A killed agent's worker starts anew, from the same rows, model and seed."""
    job = own(model={"subsample": 0.5, "min_leaf_rows": 5})
    model, update = tmp_path / "model", tmp_path / "update"
    begun(job, rows_of(job)).tofile(model)
    found = []
    for seed in (SEED, SEED, bytes(32)):
        runner_of(job, shares()[2]).train(model, update, None, seed)
        found.append(update.read_bytes())
    assert found[0] == found[1]
    assert found[0] != found[2]
    whole = own(model={"min_leaf_rows": 5})
    np.testing.assert_array_equal(sent(whole), sent(whole, seed=bytes(32)))  # all rows: no draw


def test_a_later_tree_starts_from_what_the_forest_says(tmp_path: Path) -> None:
    job = own(model={"min_leaf_rows": 5})
    layout, rows = layout_of(job), rows_of(job)
    model = begun(job, rows)
    first = read_tree(layout, own_tree(rows, model, SEED))
    after = with_trees(layout, model, {"bank-0": first}, ROSTER)
    second = read_tree(layout, own_tree(rows, after, SEED))
    assert (first != second).any()
    assert np.abs(second[:, VALUE]).max() < np.abs(first[:, VALUE]).max()


def wrong(**changes: tuple[int, int, int]) -> list[Any]:
    return [pytest.param(place, column, value, id=name)
            for name, (place, column, value) in changes.items()]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "column", "value"),
    wrong(
        open_node=(1, KIND, -1),
        input_that_is_none=(2, KIND, 6),
        input_far_beyond=(0, KIND, 1 << 40),
        bin_beyond=(0, BIN, 7),
        bin_below=(0, BIN, -1),
        side_that_is_none=(0, MISSING, 2),
        side_below=(0, MISSING, -1),
        side_of_an_indicator=(2, MISSING, 1),
        bin_of_an_indicator=(2, BIN, 1),
        value_of_a_split=(0, VALUE, 1),
        value_of_an_unused_place=(3, VALUE, 1),
        split_of_an_unused_place=(3, KIND, 1),
        split_below_the_last_level=(7, KIND, 1),
        bin_of_a_leaf=(1, BIN, 1),
        leaf_too_large=(1, VALUE, int(0.5 * MOST_STEP * UNIT) + 1),
        leaf_far_too_small=(1, VALUE, -(1 << 63)),
    ),
)
def test_what_is_no_tree_is_refused(place: int, column: int, value: int) -> None:
    """Tree: the root splits number 0, its right child indicator 2; the left one is a leaf."""
    job = own()
    layout = layout_of(job)
    values = np.zeros(layout.length, np.int64)
    tree = values[: layout.model.nodes * NODE].reshape(-1, NODE)
    tree[0], tree[2] = (1, 3, 1, 0), (3, 0, 0, 0)
    tree[1, VALUE], tree[5, VALUE] = most_steps(layout), -most_steps(layout)
    np.testing.assert_array_equal(read_tree(layout, values), tree)
    tree[place, column] = value
    with pytest.raises(SecureFlowError) as caught:
        read_tree(layout, values)
    assert caught.value.code == "tree_malformed"


def test_no_node_is_split_below_the_last_level() -> None:
    layout = layout_of(own())
    values = np.zeros(layout.length, np.int64)
    tree = values[: layout.model.nodes * NODE].reshape(-1, NODE)
    tree[[0, 2, 6], KIND] = 1
    read_tree(layout, values)
    tree[14, KIND] = 1
    with pytest.raises(SecureFlowError) as caught:
        read_tree(layout, values)
    assert caught.value.code == "tree_malformed"


def test_a_party_keeps_its_leaves_within_a_step() -> None:
    """From a chance of 1 in 1,000, rows that are all positive ask for a step of 1,000."""
    steep = {"base_score": 0.001, "reg_lambda": 0.0, "min_child_weight": 1e-6, "min_leaf_rows": 5}
    job = own(model=steep)
    tree = read_tree(layout_of(job), sent(job))
    assert tree[:, VALUE].max() == most_steps(layout_of(job))


@pytest.mark.parametrize("change", ["longer", "floats", "behind"])
def test_what_has_another_shape_is_refused(change: str) -> None:
    layout = layout_of(own())
    values = np.zeros(layout.length, np.int64)
    if change == "behind":
        values[-1] = 1
    else:
        values = (
            np.zeros(layout.length + 1, np.int64)
            if change == "longer"
            else values.astype(np.float64)
        )
    with pytest.raises(SecureFlowError) as caught:
        read_tree(layout, values)
    assert caught.value.code == "tree_malformed"


def test_bagging_takes_the_mean_of_the_trees_and_no_order_tells_whose_each_is() -> None:
    job = own(model={"min_leaf_rows": 5})
    layout, rows = layout_of(job), rows_of(job)
    model = begun(job, rows)
    trees = [read_tree(layout, sent(job, part)) for part in range(3)]
    after = with_trees(layout, model, dict(zip(ROSTER, trees, strict=True)), ROSTER)
    swapped = with_trees(layout, model, dict(zip(ROSTER[::-1], trees, strict=True)), ROSTER)
    np.testing.assert_array_equal(after, swapped)
    parts = parts_of(layout, after)
    assert parts.done == 3
    assert job.features is not None
    inputs, _ = design_matrix(job.features, declared_moments(job.features), shares()[1])
    cells = binned(layout, parts.edges, inputs)
    single = [one[places_of(layout, one, cells, 3), VALUE] / UNIT for one in trees]
    expected = layout.start + np.mean(single, axis=0)
    np.testing.assert_allclose(margins_of(layout, after, inputs), expected, atol=1e-6)
    # Of a missing party the place stays empty, and a round is still one step.
    fewer = with_trees(layout, model, dict(zip(ROSTER[:2], trees[:2], strict=True)), ROSTER)
    left = parts_of(layout, fewer)
    assert left.done == 3
    assert not left.nodes[2].any()
    np.testing.assert_allclose(
        margins_of(layout, fewer, inputs), layout.start + np.mean(single[:2], axis=0), atol=1e-6
    )


def test_parties_take_turns_and_the_next_one_stands_in() -> None:
    job = own(mode="cyclic", plan={"rounds": 5})
    layout = layout_of(job)
    assert layout.trees == 5
    model = begun(job, rows_of(job))
    trees = {party: np.zeros((layout.model.nodes, NODE), np.int64) for party in ROSTER}
    for number, tree in enumerate(trees.values(), 1):
        tree[0, VALUE] = number * UNIT

    def taken(done: int, *missing: str) -> float:
        before = model.copy()
        parts_of(layout, before).progress[DONE] = done
        held = {party: tree for party, tree in trees.items() if party not in missing}
        after = parts_of(layout, with_trees(layout, before, held, ROSTER))
        assert after.done == done + 1
        return float(after.nodes[done, 0, VALUE])

    assert [taken(done) for done in range(5)] == [1, 2, 3, 1, 2]
    assert taken(0, "bank-0") == 2
    assert taken(2, "bank-2") == 1
    assert taken(1, "bank-1", "bank-2") == 1
