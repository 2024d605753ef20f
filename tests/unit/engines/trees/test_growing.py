"""Trees from summed histograms are those of all rows in one place, bit by bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import federate, pooled, shares, table
from unit.engines.trees.trees_world import Tree, job_of, reference

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import declared_moments, design_matrix
from secureflow.engines.training.models import initial_state, model_family
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.edges import binned
from secureflow.engines.trees.growing import next_model
from secureflow.engines.trees.layout import KIND, NEVER, UNIT, VALUE, Parts, parts_of
from secureflow.engines.trees.rows import Rows
from secureflow.kit.errors import SecureFlowError

KEPT = {"numeric": [{"column": name, "bounds": [-1, 1], "scale": "bounds", "missing": "kept"}
                    for name in ("x0", "x1")]}  # fmt: skip
ALL = {"validation": 0.0}


def holes(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same rows, of which every third has no x0: those whose label is no, mostly."""
    gone = (part["y"] == "no") & (np.arange(len(part["y"])) % 3 > 0)
    return {**part, "x0": np.where(gone, np.nan, part["x0"])}


def grown(job: TrainingSpec, state: np.ndarray) -> tuple[Parts, list[Tree]]:
    """The trees of a model, as the reference tells them."""
    parts = parts_of(layout_of(job), state)
    return parts, [_tree(nodes, 0, {}) for nodes in parts.nodes[: parts.done]]


def _tree(nodes: np.ndarray, place: int, found: Tree) -> Tree:
    kind, last, missing, value = (float(one) for one in nodes[place])
    if kind <= 0:
        return found | {place: (value,)}
    found = found | {place: (int(kind) - 1, int(last), bool(missing), value)}
    for side in (1, 2):
        found = _tree(nodes, 2 * place + side, found)
    return found


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("binary", {}),
        ("number", {}),
        ("binary", {"features": KEPT}),
        ("number", {"model": {"min_node_rows": 40, "gamma": 0.02, "reg_lambda": 3.0}}),
        ("binary", {"model": {"base_score": 0.3, "min_child_weight": 4.0}}),
    ],
)
def test_they_are_those_of_all_rows_in_one_place(
    target: str, more: dict[str, Any], tmp_path: Path
) -> None:
    job = job_of(target, plan=ALL, **more)
    parts = [holes(one) for one in shares()] if "features" in more else shares()
    state, _ = federate(job, parts, tmp_path)
    assert job.features is not None
    layout = layout_of(job)
    whole = pooled(parts)
    inputs, labels = design_matrix(job.features, declared_moments(job.features), whole)
    model, found = grown(job, state)
    cells = binned(layout, model.edges, inputs)
    expected, margins = reference(layout, cells, labels.astype(np.float64))
    assert found == [{at: tuple(node) for at, node in tree.items()} for tree in expected]
    assert sum(len(tree) for tree in found) > 9  # they split
    outputs = model_family(job).outputs(state, inputs)[:, 0]
    np.testing.assert_array_equal(outputs, margins.astype(np.float32))
    if "features" in more:  # somewhere rows without a number go left
        splits = [node for tree in found for node in tree.values() if len(node) > 1]
        assert any(node[2] for node in splits)


def test_edges_part_rows_evenly_or_single_values(tmp_path: Path) -> None:
    job = job_of(plan={**ALL, "rounds": 1})
    many = [{**one, "x1": np.round(one["x1"])} for one in shares()]
    state, _ = federate(job, many, tmp_path)
    edges = parts_of(layout_of(job), state).edges
    assert (edges[0] < NEVER).all()
    whole = np.concatenate([one["x0"] for one in many])
    counts = np.bincount(np.searchsorted(edges[0], whole, side="right"), minlength=8)
    assert counts.min() > 300 / 8 * 0.6
    assert (edges[1] < NEVER).sum() == 2  # −1, 0 and 1 are bins of their own


def test_a_round_can_be_made_again_from_its_model(tmp_path: Path) -> None:
    """What is kept between rounds changes no bit: a killed agent makes the same update."""
    job, parts = job_of(plan={"validation": 0.2}), shares()
    states = [initial_state(job)]
    runner = runner_of(job, parts[2])
    model, update = tmp_path / "model", tmp_path / "update"
    contents, figures = [], []
    for _ in range(job.planned_rounds):
        states[-1].tofile(model)
        figures.append(runner.train(model, update, None, b""))
        contents.append(update.read_bytes())
        sums = np.frombuffer(contents[-1], "<i8")
        states.append(next_model(layout_of(job), states[-1], sums))
    for number in (5, 9, 2, 0):  # back and forth
        states[number].tofile(model)
        for again in (runner, runner_of(job, parts[2])):
            np.testing.assert_array_equal(again.train(model, update, None, b""), figures[number])
            assert update.read_bytes() == contents[number]
    other = states[9].copy()  # of as many trees, of which the first says something else
    parts_of(layout_of(job), other).nodes[0, :, VALUE] *= -1
    found = []
    for again in (runner, runner_of(job, parts[2])):
        for state in (states[9], other):
            state.tofile(model)
            again.train(model, update, None, b"")
            found.append(update.read_bytes())
    assert found[:2] == found[2:]
    assert found[0] != found[1]


def test_a_node_of_too_few_rows_is_not_opened(tmp_path: Path) -> None:
    few, _ = federate(job_of(plan=ALL, model={"min_node_rows": 10_000}), shares(), tmp_path)
    _, trees = grown(job_of(plan=ALL), few)
    assert [sorted(tree) for tree in trees] == [[0, 1, 2]] * 3  # the root alone is split


def test_every_tree_takes_its_rounds_even_if_nothing_is_left_to_split(tmp_path: Path) -> None:
    job = job_of(plan=ALL, model={"gamma": 1e5})
    state, _ = federate(job, shares(), tmp_path)
    parts, trees = grown(job, state)
    assert (parts.done, parts.level) == (3, 0)
    assert [sorted(tree) for tree in trees] == [[0]] * 3


def test_splits_that_are_tried_in_parts_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(plan=ALL)
    whole, _ = federate(job, shares(), tmp_path)
    for cells in (1, 2 * layout_of(job).cells):
        monkeypatch.setattr("secureflow.engines.trees.growing.AT_ONCE", cells)
        np.testing.assert_array_equal(whole, federate(job, shares(), tmp_path)[0])


def test_a_tree_of_no_rows_says_nothing() -> None:
    """Not even without a penalty: a root without rows would divide nothing by nothing."""
    job = job_of(plan=ALL, model={"reg_lambda": 0.0})
    layout, state = layout_of(job), initial_state(job)
    for _ in range(job.planned_rounds):
        state = next_model(layout, state, np.zeros(layout.length, np.int64))
    assert parts_of(layout, state).done == 3
    assert not parts_of(layout, state).nodes[:, :, VALUE].any()


def test_sums_that_no_rows_have_are_refused() -> None:
    job = job_of(plan=ALL)
    layout, state = layout_of(job), initial_state(job)
    counts = np.zeros(layout.length, np.int64)
    counts[:4] = 10
    known = next_model(layout, state, counts)
    wrong = np.zeros(layout.length, np.int64)
    wrong[-1] = -1
    for sums in (wrong, counts[1:], np.full(layout.length, 1 << 60)):
        with pytest.raises(SecureFlowError) as caught:
            next_model(layout, known, sums)
        assert caught.value.code == "model_inconsistent"
    assert (parts_of(layout, known).nodes[:, :, KIND] == 0).all()


def test_they_learn(tmp_path: Path) -> None:
    job = job_of("number", plan={"rounds": 20})
    _, sums = federate(job, shares(), tmp_path)
    assert sums[4] / sums[3] < 0.1  # squared errors, beside the squares of the label
    assert len(table()["x0"]) == 300


def test_more_rows_than_can_be_added_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent: under masks a cell beyond the limit would be cut unseen."""
    job = job_of("number", plan=ALL)
    assert job.features is not None
    rows = shares()[0]
    made = Rows(layout_of(job), *design_matrix(job.features, declared_moments(job.features), rows))
    state = next_model(layout_of(job), initial_state(job), made.sums(initial_state(job)))
    assert made.sums(state).any()
    monkeypatch.setattr("secureflow.engines.trees.rows.LIMIT", 1 << 28)  # of 16 rows' curvature
    with pytest.raises(SecureFlowError) as caught:
        made.sums(state)
    assert caught.value.code == "value_out_of_bounds"


def test_a_party_of_too_many_rows_counts_as_if_it_had_fewer(tmp_path: Path) -> None:
    job = job_of("number", plan=ALL, limits={"max_weight": 25})
    layout, state, rows = layout_of(job), initial_state(job), shares()[0]
    assert len(rows["x0"]) == 50
    runner, model, update = runner_of(job, rows), tmp_path / "model", tmp_path / "update"
    for _ in range(2):
        state.tofile(model)
        assert runner.train(model, update, None, b"")[0] == 25
        sums = np.frombuffer(update.read_bytes(), "<i8")
        state = next_model(layout, state, sums)
    of_one_input = sums[layout.widest * layout.cells :][: layout.model.bins + 1]
    assert of_one_input.sum() == 25 * UNIT
