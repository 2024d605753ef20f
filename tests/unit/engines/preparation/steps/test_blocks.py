"""Rows go through the steps in blocks: memory does not grow with what steps make of a row."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.engines.preparation.steps.world import (
    PRIVATE,
    category,
    fitted,
    number,
    parts_of,
    spec_of,
    text,
)

from secureflow.agent.compute.preparation_rows import PreparationRows
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.recipe import Recipe
from secureflow.engines.preparation.fitting import start, tally
from secureflow.engines.preparation.recipe import apply_recipe, made_of, recipe_of
from secureflow.engines.preparation.steps import step as steps
from secureflow.engines.preparation.steps.values import read_values
from secureflow.engines.recipes import plan
from secureflow.engines.recipes.plan import replayed
from secureflow.kit.errors import SecureFlowError

JOBS = [f"k{at}" for at in range(50)]
NAMES = [f"c{at}" for at in range(2)]
WIDE = [f"{name}={job}" for name in NAMES for job in JOBS]
STEPS = [{"step": "one_hot", "columns": NAMES}, {"step": "standardise", "columns": WIDE}]
COLUMNS = [category(name, *JOBS) for name in NAMES]


def many(count: int) -> dict[str, Any]:
    draw, words = np.random.default_rng(3), np.array(JOBS, object)
    return {name: words[draw.integers(0, 50, count)] for name in NAMES}


def peak(doing: Any) -> float:
    """Return the most memory that something takes, in MiB."""
    tracemalloc.start()
    doing()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / (1 << 20)


@pytest.mark.parametrize("privacy", [pytest.param(None, marks=pytest.mark.full), PRIVATE])
def test_sums_take_no_more_memory_with_more_rows(monkeypatch: Any, privacy: Any) -> None:
    monkeypatch.setattr(steps, "BLOCK", 1 << 16)
    spec = spec_of(STEPS, COLUMNS, **({"privacy": privacy} if privacy else {}))
    schedule(spec)
    read = read_values(spec.columns, many(20_000), strict=True)  # one-hot they would be 15 MiB
    assert peak(lambda: tally(spec, start(spec), read, None)) < 4


def recipe_of_dates() -> tuple[PreparationSpec, Recipe]:
    columns = [number("x", 0, 100), text("born")]
    dates = {"step": "date_parts", "columns": ["born"], "formats": ["%Y"], "parts": ["year"]}
    spec = spec_of([dates, {"step": "standardise", "columns": ["x"]}], columns)
    data: Any = {"x": np.arange(9.0), "born": np.array(["2001"] * 9, object)}
    return spec, recipe_of(spec, "job_0123456789", "a" * 64, fitted(spec, parts_of(data)))


def test_a_recipe_is_applied_in_blocks_alike(monkeypatch: Any) -> None:
    _, recipe = recipe_of_dates()
    x, born = np.linspace(0, 100, 50), np.array([*["1999", None] * 25], object)
    wanted = apply_recipe(recipe, {"x": x, "born": born}, strict=True)
    monkeypatch.setattr(steps, "BLOCK", 8)
    found = apply_recipe(recipe, {"x": x, "born": born}, strict=True)
    assert {name: held.tobytes() for name, held in found.items()} == {
        name: held.tobytes() for name, held in wanted.items()
    }
    empty = {"x": x[:0], "born": born[:0]}
    assert {name: len(held) for name, held in apply_recipe(recipe, empty, strict=True).items()} == {
        "x": 0, "born.year": 0
    }  # fmt: skip
    values = read_values(recipe.columns, {"x": x, "born": born}, strict=True)
    small = made_of(recipe, values, strict=True, numbers=np.float32)
    assert {held.dtype for held in small.values()} == {np.dtype("f4")}


def test_a_cell_that_fits_nothing_is_named_by_its_own_row(monkeypatch: Any) -> None:
    spec, recipe = recipe_of_dates()
    monkeypatch.setattr(steps, "BLOCK", 8)
    data: Any = {"x": np.arange(30.0), "born": np.array(["2001"] * 29 + ["May"], object)}
    with pytest.raises(SecureFlowError) as caught:
        apply_recipe(recipe, data, strict=True)
    assert caught.value.details == {"row": 30, "column": "born", "step": "date_parts"}
    with pytest.raises(SecureFlowError) as caught:
        tally(spec, start(spec), read_values(spec.columns, data, strict=True), None)
    assert caught.value.details == {"row": 30, "column": "born", "step": "date_parts"}


def test_an_agent_replays_each_round_once(monkeypatch: Any, tmp_path: Path) -> None:
    steps = [{"step": "standardise", "columns": ["x"]} for _ in range(6)]
    spec = spec_of(steps, [number("x", 0, 100)])
    rows = PreparationRows(spec, {"x": np.arange(50.0)}, None)
    learned: list[int] = []

    def learn(spec: Any, progress: Any, totals: Any) -> Any:
        learned.append(progress.rounds)
        return learning(spec, progress, totals)

    learning = plan.learn
    monkeypatch.setattr(plan, "learn", learn)
    file = tmp_path / "totals"
    file.write_bytes(b"")
    for at in range(1, spec.planned_rounds + 1):
        sums = rows.sums(file if at > 1 else None, at, bytes(32), bytes(32))
        file.write_bytes(file.read_bytes() + sums.astype("<i8").tobytes())
    assert learned == [*range(5)]
    totals = file.read_bytes()
    known = replayed(spec, totals, None)
    part = len(totals) // 6
    for other in (bytes(part) + totals[part:], totals[: 2 * part], b""):
        assert replayed(spec, other, known) == replayed(spec, other, None) != known
    assert replayed(spec, totals, known) == known


def test_products_of_pairs_are_added_up_alike_with_and_without_privacy() -> None:
    """Without it in one product of matrices: 50 minutes of a large table become one."""
    draw = np.random.default_rng(2)
    numbers = draw.uniform(-1, 1, (50, 4))
    numbers[::7] = np.nan
    found = steps.Products(numbers)
    there = numbers[~np.isnan(numbers[:, 0])]
    wanted = [*there.sum(axis=0), *((there[:, a] * there[:, b]).sum() for a in range(4)
              for b in range(a, 4)), len(there)]  # fmt: skip
    assert found.added() == pytest.approx(wanted)
    assert found.each().sum(axis=0) == pytest.approx(wanted)
    assert steps.Sums(numbers).added() == pytest.approx(there.sum(axis=0))


def test_a_selection_of_many_columns_makes_no_product_of_each_row(monkeypatch: Any) -> None:
    monkeypatch.setattr(steps.Products, "each", None)
    names = [f"x{at}" for at in range(30)]
    step = {"step": "select", "columns": names, "by": "correlation", "threshold": 0.5}
    spec = spec_of([step], [number(name, 0, 1) for name in names])
    values = read_values(spec.columns, dict.fromkeys(names, np.arange(9.0) / 9), strict=True)
    sums = tally(spec, start(spec), values, None)
    assert np.count_nonzero(sums) == 1 + 30 + 30 * 31 // 2 + 1  # and the rows
