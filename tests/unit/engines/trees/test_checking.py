"""Sums that no rows of a party have are refused, and those of every party's rows are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.training.family_world import shares
from unit.engines.trees.test_growing import ALL, KEPT, holes
from unit.engines.trees.trees_world import job_of

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.models import initial_state
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.checking import check_rows
from secureflow.engines.trees.growing import next_model, open_nodes, split_sums
from secureflow.engines.trees.layout import UNIT, parts_of
from secureflow.kit.errors import SecureFlowError

Round = tuple[np.ndarray, list[np.ndarray], list[int]]
"""The model of a round, each party's sums, and how many rows each says it has."""


def rounds_of(job: TrainingSpec, parts: list[dict[str, np.ndarray]], folder: Path) -> list[Round]:
    """Every round of a job, as honest parties make it."""
    runners, state = [runner_of(job, part) for part in parts], initial_state(job)
    found = []
    for _ in range(job.planned_rounds):
        state.tofile(folder / "model")
        sums, rows = [], []
        for runner in runners:
            told = runner.train(folder / "model", folder / "update", None, b"")
            sums.append(np.fromfile(folder / "update", "<i8"))
            rows.append(int(told[0]))
        found.append((state, sums, rows))
        state = next_model(layout_of(job), state, np.sum(sums, axis=0))
    return found


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("binary", {}),
        ("number", {}),
        ("binary", {"features": KEPT}),
        ("binary", {"limits": {"max_weight": 33}}),
        ("number", {"limits": {"max_weight": 33}}),
        ("binary", {"features": KEPT, "limits": {"max_weight": 7}}),
        ("binary", {"model": {"base_score": 0.999}, "plan": {"learning_rate": 5.0}}),
    ],
)
def test_what_rows_have_is_added(target: str, more: dict[str, Any], tmp_path: Path) -> None:
    more = {**more, "plan": {**ALL, **more.get("plan", {})}}
    job = job_of(target, **more)
    parts = [holes(one) for one in shares()] if "features" in more else shares()
    for model, sums, rows in rounds_of(job, parts, tmp_path):
        for own, count in zip(sums, rows, strict=True):
            assert count <= job.limits.max_weight
            check_rows(layout_of(job), model, own, count)


def test_a_party_of_more_rows_than_count_has_edges_of_as_many(tmp_path: Path) -> None:
    job = job_of(plan=ALL, limits={"max_weight": 33})
    _, sums, _ = rounds_of(job, shares(), tmp_path)[0]
    layout = layout_of(job)
    for own in sums:
        counted = own[: layout.numbers * layout.fine].reshape(layout.numbers, -1).sum(axis=1)
        assert counted.tolist() == [33, 33]


JOBS = {
    "binary": job_of(plan=ALL),
    "number": job_of("number", plan=ALL),
    "few bins": job_of(plan=ALL, model={"bins": 2}),  # a level has more cells than the counts
}


def more_counts(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
    del job, model
    sums[0] += 1


def fewer_counts(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
    del job, model
    sums[np.flatnonzero(sums)[0]] -= 1


def negative_count(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
    """The cells still add up."""
    del job, model
    sums[:2] = sums[0] + sums[1] + 7, -7


def counts_elsewhere(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
    del job, model
    sums[-1] = 1


def shifted(at: int, by: int) -> Callable[[np.ndarray, TrainingSpec, np.ndarray], None]:
    """The same is added to one cell of every input of the first open node."""

    def change(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
        node, layout = first_open(job, model), layout_of(job)
        split_sums(layout, sums)[at][node, layout.offsets] += by

    return change


def one_input(at: int) -> Callable[[np.ndarray, TrainingSpec, np.ndarray], None]:
    """One input has rows that another has not: what a split by it alone would gain from."""

    def change(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
        node, layout = first_open(job, model), layout_of(job)
        split_sums(layout, sums)[at][node, layout.offsets[1]] += UNIT // 8

    return change


def closed(at: int) -> Callable[[np.ndarray, TrainingSpec, np.ndarray], None]:
    def change(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
        opened = set(open_nodes(layout_of(job), parts_of(layout_of(job), model)).tolist())
        level, layout = parts_of(layout_of(job), model).level, layout_of(job)
        first = (1 << level) - 1
        node = next(one for one in range(layout.widest) if first + one not in opened)
        split_sums(layout, sums)[at][node, layout.offsets] += 1

    return change


def beyond_levels(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
    del job, model
    sums[-1] += 1


def negative_second(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
    """Moved between two cells of each input: totals stay."""
    node, layout = first_open(job, model), layout_of(job)
    cells = split_sums(layout, sums)[1][node]
    cells[layout.offsets] -= cells[layout.offsets] + 5
    cells[layout.offsets + 1] = 0
    other = np.add.reduceat(cells, layout.offsets)
    cells[layout.offsets + 1] = other.max() + 5 - other


def opposed(by: int) -> Callable[[np.ndarray, TrainingSpec, np.ndarray], None]:
    """Gradients of both signs that cancel in every total: they make a split, and are of no rows."""

    def change(sums: np.ndarray, job: TrainingSpec, model: np.ndarray) -> None:
        node, layout = first_open(job, model), layout_of(job)
        cells = split_sums(layout, sums)[0][node]
        cells[layout.offsets] += by
        cells[layout.offsets + 1] -= by

    return change


def first_open(job: TrainingSpec, model: np.ndarray) -> int:
    layout = layout_of(job)
    parts = parts_of(layout, model)
    return int(open_nodes(layout, parts)[0]) - ((1 << parts.level) - 1)


@pytest.mark.parametrize(
    ("target", "number", "change", "reason"),
    [
        ("binary", 0, more_counts, "of a number do not add up"),
        ("binary", 0, fewer_counts, "of a number do not add up"),
        ("binary", 0, negative_count, "a count is negative"),
        ("few bins", 0, counts_elsewhere, "of no number"),
        ("binary", 2, closed(0), "of no open node"),
        ("binary", 2, closed(1), "of no open node"),
        ("binary", 1, beyond_levels, "of no open node"),
        ("binary", 1, one_input(0), "of two inputs"),
        ("binary", 3, one_input(1), "of two inputs"),
        ("binary", 1, negative_second, "second derivative is negative"),
        ("binary", 1, shifted(1, 100 * UNIT), "second derivatives are of more rows"),
        ("number", 1, shifted(1, UNIT), "second derivatives are of more rows"),
        ("binary", 1, shifted(0, 120 * UNIT), "gradients are of more rows"),
        ("binary", 1, opposed(60 * UNIT), "gradients are of more rows"),
        ("number", 1, opposed(1 << 36), "a gradient is beyond its rows"),
        ("binary", 1, shifted(0, 1 << 51), "beyond what rows can have"),
    ],
)
def test_what_no_rows_have_is_refused(
    target: str, number: int, change: Any, reason: str, tmp_path: Path
) -> None:
    job = JOBS[target]
    model, sums, rows = rounds_of(job, shares(), tmp_path)[number]
    wrong = sums[1].copy()
    change(wrong, job, model)
    assert (wrong != sums[1]).any()
    with pytest.raises(SecureFlowError, match=reason) as caught:
        check_rows(layout_of(job), model, wrong, rows[1])
    assert caught.value.code == "value_out_of_bounds"


def test_gradients_and_second_derivatives_are_of_the_same_rows(tmp_path: Path) -> None:
    """At ½ every row has |g| = ½ and h = ¼: a stronger pull with all of its weight is of no row."""
    job = JOBS["binary"]
    model, sums, rows = rounds_of(job, shares(), tmp_path)[1]
    layout, most = layout_of(job), rows[1] * UNIT
    gradients, _ = split_sums(layout, sums[1].copy())
    node = first_open(job, model)
    assert np.abs(gradients[node]).sum() // layout.width <= most // 2 + 1
    pulled = sums[1].copy()
    split_sums(layout, pulled)[0][node] *= 2  # within n, were they of other rows
    with pytest.raises(SecureFlowError, match="or of others than second derivatives"):
        check_rows(layout, model, pulled, rows[1])
    other = pulled.copy()
    split_sums(layout, other)[1][node] = 0  # of rows that are sure, and wrong
    check_rows(layout, model, other, rows[1])


def test_sums_of_another_shape_are_refused(tmp_path: Path) -> None:
    job = JOBS["binary"]
    model, sums, rows = rounds_of(job, shares(), tmp_path)[1]
    for wrong in (sums[0][1:], sums[0].astype(np.float64)):
        with pytest.raises(SecureFlowError) as caught:
            check_rows(layout_of(job), model, wrong, rows[0])
        assert caught.value.code == "update_shape_wrong"


@pytest.mark.parametrize("chance", [0.3, 0.31, 0.32, 0.33, 0.34])
def test_rows_that_are_all_alike_are_at_the_bound_but_for_rounding(
    chance: float, tmp_path: Path
) -> None:
    job = job_of(plan={**ALL, "rounds": 1}, model={"base_score": chance})
    parts = [{**one, "y": np.full(len(one["y"]), "yes", object)} for one in shares()]
    for model, sums, rows in rounds_of(job, parts, tmp_path):
        for own, count in zip(sums, rows, strict=True):
            check_rows(layout_of(job), model, own, count)
