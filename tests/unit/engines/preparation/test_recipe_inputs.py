"""What a recipe makes for a private job: kept or made on request, the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.domain.test_recipe_rules import recipe_of, spec_of
from unit.engines.preparation.steps.test_blocks import peak

from secureflow.adapters.frameworks import RowsRunner, runner_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import (
    declared_moments,
    encode_rows,
    encoded,
    feature_matrix,
)
from secureflow.engines.preparation.recipe import prepared_columns
from secureflow.engines.preparation.recipeinputs import RecipeInputs
from secureflow.engines.preparation.steps import step

PRIVATE = {"privacy": {"delta": 1e-6, "noise_multiplier": 1.0, "rows": 100},
           "plan": {"validation": 0.0, "rounds": 1}}  # fmt: skip


def private() -> TrainingSpec:
    return spec_of(recipe_of(lambda value: value.update(private=True)), **PRIVATE)


def raw(count: int) -> dict[str, Any]:
    draw = np.random.default_rng(1)
    return {
        "age": np.where(draw.random(count) < 0.1, np.nan, draw.integers(0, 100, count) + 0.5),
        "job": draw.choice(np.array(["a", "b", None], object), count),
        "y": draw.choice(np.array(["0", "1"], object), count),
    }


def encoded_rows(spec: TrainingSpec, columns: dict[str, Any]) -> Any:
    assert spec.features is not None
    return encode_rows(spec.features, declared_moments(spec.features), columns)[0]


def test_they_are_the_numbers_that_everybody_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, columns = private(), raw(50)
    assert spec.features is not None
    made = prepared_columns(spec.features, columns)
    wanted = feature_matrix(spec.features, declared_moments(spec.features), made)
    some = np.array([3, 1, 30, 3])
    for most in (1 << 20, 0):
        monkeypatch.setattr(encoded, "KEPT_CELLS", most)
        rows = encoded_rows(spec, columns)
        assert isinstance(rows.numeric, RecipeInputs) is (most == 0)
        assert (len(rows), rows.width) == wanted.shape
        assert rows[np.arange(50)].tobytes() == wanted.tobytes()
        assert rows.only(some)[np.array([1, 2])].tobytes() == wanted[[1, 30]].tobytes()


def test_a_private_job_trains_on_them_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec, updates = private(), []
    model = tmp_path / "model"
    model.write_bytes(bytes(4 * spec.parameters))
    for most in (1 << 20, 0):
        monkeypatch.setattr(encoded, "KEPT_CELLS", most)
        runner_of(spec, raw(80)).train(model, tmp_path / "update", None, b"s" * 32)
        updates.append((tmp_path / "update").read_bytes())
    assert updates[0] == updates[1] != bytes(len(updates[0]))


def test_no_cell_makes_them_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "KEPT_CELLS", 0)
    columns = raw(6)
    columns["age"] = np.array([1e308, "x", None, float("inf"), 10**400, (1,)], object)
    columns["job"] = np.array(["c", 1, None, float("nan"), "a", object()], object)
    columns["y"] = np.array(["1", None, "0", 1, "1", "0"], object)
    rows = encoded_rows(private(), columns)
    assert np.isfinite(rows[np.arange(len(rows))]).all()


def test_memory_does_not_grow_with_what_a_recipe_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    def widened(value: dict[str, Any]) -> None:
        names = ["a", "b", *(f"c{at}" for at in range(100))]
        value["columns"][1]["categories"] = names
        value["fits"][2]["columns"]["job"]["kept"] = [*range(len(names))]
        value["outputs"][1:] = [{"name": f"job={one}", "type": "number"} for one in names]
        value["private"] = True

    monkeypatch.setattr(encoded, "KEPT_CELLS", 1 << 16)
    monkeypatch.setattr(encoded, "BLOCK_CELLS", 1 << 16)
    monkeypatch.setattr(step, "BLOCK", 1 << 16)
    spec, columns = spec_of(recipe_of(widened), **PRIVATE), raw(20_000)  # whole 8 MiB

    def through() -> None:
        rows = encoded_rows(spec, columns)
        for block in rows.blocks():
            rows[block]

    assert peak(through) < 4


def test_code_of_others_gets_what_the_recipe_makes(tmp_path: Path) -> None:
    """In a simulation, too, which makes such a runner itself: raw columns have the same names."""
    spec, columns = spec_of(recipe_of(), plan={"validation": 0.0}), raw(20)
    assert spec.features is not None
    made = prepared_columns(spec.features, columns)
    wanted = feature_matrix(spec.features, declared_moments(spec.features), made)
    path = tmp_path / "rows"
    RowsRunner(spec, columns).write_rows(path, None)
    assert wanted.tobytes() in path.read_bytes()
