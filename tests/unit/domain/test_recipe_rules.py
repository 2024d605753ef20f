"""A spec that trains on a recipe: what it makes are the inputs, and its fits are its steps'."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secureflow.adapters.frameworks import runner_of
from secureflow.cli.predictrows import opened_rows
from secureflow.domain.specs import recipe as recipes
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.recipe_rules import with_inputs
from secureflow.domain.specs.sweep import SweepSpec, check_sweep
from secureflow.domain.specs.targets import Label
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.preparation.recipe import (
    apply_recipe,
    read_recipe,
    recipe_bytes,
    recipe_digest,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.features import recipe_features
from secureflow.simulation import simulate

RECIPE: dict[str, Any] = {
    "job": "job_0123456789",
    "spec": "a" * 64,
    "columns": [
        {"column": "age", "type": "number", "bounds": [0, 100]},
        {"column": "job", "type": "category", "categories": ["a", "b"]},
    ],
    "steps": [
        {"step": "impute", "columns": ["age"], "by": "mean"},
        {"step": "standardise", "columns": ["age"]},
        {"step": "one_hot", "columns": ["job"]},
    ],
    "fits": [
        {"columns": {"age": {"value": 40}}},
        {"columns": {"age": {"mean": 40, "std": 20}}},
        {"columns": {"job": {"kept": [0, 1], "merged": False}}},
    ],
    "outputs": [
        {"name": "age", "type": "number"},
        {"name": "job=a", "type": "number"},
        {"name": "job=b", "type": "number"},
    ],
}
Change = Callable[[dict[str, Any]], Any]


def spec_of(recipe: Recipe, **changes: Any) -> TrainingSpec:
    features = dump(recipe_features(recipe, None)) | {"label": {"column": "y", "positive": "1"}}
    value: dict[str, Any] = {
        "project": "prj_0123456789", "name": "scores", "purpose": "p", "submitter": "ann",
        "roster": [{"party": p, "key": p * 43 + "=", "dataset": "d"} for p in "abc"],
        "features": features,
    }  # fmt: skip
    for name, part in changes.items():
        value[name] = {**value[name], **part} if isinstance(value.get(name), dict) else part
    return parse(TrainingSpec, value)


def recipe_of(change: Change = lambda value: None) -> Recipe:
    value = copy.deepcopy(RECIPE)
    change(value)
    return read_recipe(recipe_bytes(parse(Recipe, value, "recipe")))


def test_a_recipe_survives_its_document_and_is_named_by_it() -> None:
    recipe = recipe_of()
    assert read_recipe(recipe_bytes(recipe), recipe_digest(recipe)) == recipe
    with pytest.raises(SecureFlowError, match="digest_mismatch"):
        read_recipe(recipe_bytes(recipe) + b" ", recipe_digest(recipe))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["fits"].pop(),
        lambda v: v["fits"][1]["columns"].clear(),
        lambda v: v["fits"][1]["columns"]["age"].update(std=0),
        lambda v: v["fits"][1]["columns"]["age"].update(std="20"),
        lambda v: v["fits"][1]["columns"]["age"].update(more=1),
        lambda v: v["fits"][1].update(code="x"),
        lambda v: v["fits"][2]["columns"]["job"].update(kept=[0, 2]),
        lambda v: v["fits"][2]["columns"]["job"].update(kept=[1, 0]),
        lambda v: v["fits"][0]["columns"]["age"].update(value=True),
        lambda v: v["outputs"].pop(),
        lambda v: v["outputs"][0].update(name="other"),
        lambda v: v["steps"][2].update(columns=["nothing"]),
    ],
)
def test_fits_that_do_not_belong_to_the_steps_are_refused(change: Change) -> None:
    with pytest.raises(SecureFlowError, match="invalid_recipe"):
        recipe_of(change)


def test_a_job_that_trains_on_it_reads_its_columns_and_sees_what_it_makes() -> None:
    spec = spec_of(recipe_of())
    check(spec)
    assert spec.column_names == ("age", "job", "y")
    assert spec.bounds == (("age", (0.0, 100.0)),)
    assert spec.parameters == 4  # three inputs and the intercept
    assert parse(TrainingSpec, dump(spec)) == spec


@pytest.mark.parametrize(
    ("features", "field"),
    [
        ({"numeric": []}, "features.numeric"),
        ({"numeric": [{"column": "age", "bounds": [0, 1], "scale": "none"}]}, "features.numeric"),
        ({"categorical": [{"column": "job", "categories": ["a"]}]}, "features.recipe"),
        ({"recipe": None}, "features.age.scale"),
        ({"weight": {"column": "job=a", "bounds": [0, 1]}}, "features.recipe"),
        ({"label": {"column": "job=b", "positive": "1"}}, "features.recipe"),
    ],
)
def test_inputs_that_a_recipe_does_not_make_are_refused(
    features: dict[str, Any], field: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        check(spec_of(recipe_of(), features=features))
    assert caught.value.code == "contradictory_spec"
    assert caught.value.details["field"] in {field, "features"}


def test_bounds_may_differ_in_the_last_bit() -> None:
    """Logarithms do, between the platforms of a scientist and an owner."""
    spec = spec_of(recipe_of())
    assert spec.features is not None
    (low, high), *_ = (one.bounds for one in spec.features.numeric)
    for bounds, right in (((math.nextafter(low, 0), high), True), ((low, high + 1e-3), False)):
        numeric = [dump(one) for one in spec.features.numeric]
        numeric[0]["bounds"] = list(bounds)
        other = spec_of(recipe_of(), features={"numeric": numeric})
        if right:
            check(other)
        else:
            with pytest.raises(SecureFlowError, match="numeric"):
                check(other)


def test_an_input_is_listed_once() -> None:
    spec = spec_of(recipe_of())
    assert spec.features is not None
    numeric = [dump(one) for one in spec.features.numeric]
    with pytest.raises(SecureFlowError, match="numeric"):
        check(spec_of(recipe_of(), features={"numeric": [*numeric, numeric[0]]}))


def test_numbers_that_no_model_holds_are_refused() -> None:
    def widened(value: dict[str, Any]) -> None:
        value["columns"][0]["bounds"] = [0, 1e40]
        value["steps"], value["fits"] = value["steps"][2:], value["fits"][2:]

    with pytest.raises(SecureFlowError, match="'age' may hold numbers that float32 does not"):
        check(spec_of(recipe_of(widened)))


def test_a_sweep_checks_the_recipe_of_its_points_once(monkeypatch: pytest.MonkeyPatch) -> None:
    training = dump(spec_of(recipe_of(), plan={"draws": "words"}))
    head = {name: training[name] for name in ("project", "name", "purpose", "submitter", "roster")}
    points = [{"plan.learning_rate": rate / 64} for rate in range(1, 65)]
    spec = parse(SweepSpec, {**head, "training": training, "points": points})
    checked: list[Any] = []
    counted: list[Any] = []
    rules, table = recipes.check_fit, recipes.tables

    def check_fit(*given: Any) -> None:
        checked.append(given)
        rules(*given)

    def tables(*given: Any) -> Any:
        counted.append(given)
        return table(*given)

    monkeypatch.setattr(recipes, "check_fit", check_fit)
    monkeypatch.setattr(recipes, "tables", tables)
    check_sweep(spec)
    assert (len(checked), len(counted)) == (len(RECIPE["steps"]), 1)


def test_a_private_job_takes_no_recipe_that_was_fitted_without_noise() -> None:
    private = {"privacy": {"delta": 1e-6, "noise_multiplier": 1.0, "rows": 100},
               "plan": {"validation": 0.0}}  # fmt: skip
    with pytest.raises(SecureFlowError) as caught:
        check(spec_of(recipe_of(), **private))
    assert caught.value.details["field"] == "features.recipe"
    check(spec_of(recipe_of(lambda v: v.update(private=True)), **private))


def test_families_of_sums_take_no_inputs_as_they_are() -> None:
    with pytest.raises(SecureFlowError) as caught:
        check(spec_of(recipe_of(), model={"family": "gaussian_nb"}, plan={"rounds": 1}))
    assert caught.value.details["field"] == "features.age.scale"


def test_a_runner_trains_on_what_the_recipe_makes_bit_for_bit(tmp_path: Any) -> None:
    recipe = recipe_of()
    spec = spec_of(recipe, plan={"validation": 0.0, "rounds": 1})
    draw = np.random.default_rng(1)
    raw: Any = {
        "age": np.where(draw.random(50) < 0.1, np.nan, draw.integers(0, 100, 50).astype(float)),
        "job": draw.choice(np.array(["a", "b", None], object), 50),
        "y": draw.choice(np.array(["0", "1"], object), 50),
    }
    made = {**apply_recipe(recipe, raw, strict=True), "y": raw["y"]}
    features = parse(FeatureSpec, {
        "label": {"column": "y", "positive": "1"},
        "numeric": [{"column": one.column, "bounds": one.bounds, "scale": "none"}
                    for one in spec.features.numeric],
    }) if spec.features else None  # fmt: skip
    plain = parse(TrainingSpec, {**dump(spec), "features": dump(features)})
    model = tmp_path / "model"
    model.write_bytes(bytes(4 * spec.parameters))
    written = []
    for job, columns in ((spec, raw), (plain, made)):
        runner = runner_of(job, columns)
        runner.train(model, tmp_path / "update", None, b"s" * 32)
        written.append((tmp_path / "update").read_bytes())
    assert written[0] == written[1] != bytes(len(written[0]))


def test_inputs_that_a_request_leaves_out_are_those_that_the_recipe_makes() -> None:
    recipe = recipe_of()
    asked = {"recipe": dump(recipe), "label": {"column": "y", "positive": "1"}}
    whole = parse(FeatureSpec, with_inputs(asked))
    assert whole == recipe_features(recipe, Label("y", "1"))
    assert with_inputs({**asked, "numeric": []}) == with_inputs(asked)
    for other in (None, 3, {}, {"recipe": None}, {"recipe": "name"}, dump(whole)):
        assert with_inputs(other) == other
    with pytest.raises(SecureFlowError, match="invalid_recipe"):
        with_inputs({"recipe": {**dump(recipe), "fits": []}})


def test_a_simulation_takes_a_recipes_file(tmp_path: Any) -> None:
    (tmp_path / "recipe.json").write_bytes(recipe_bytes(recipe_of()) + b"\n")
    features = {"recipe": "recipe.json", "label": {"column": "y", "positive": "1"}}
    job = {"kind": "training", "features": features, "plan": {"rounds": 1, "validation": 0.0}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    rows = {"age": [10.0, 20.0, 30.0] * 9, "job": ["a", "b", "a"] * 9, "y": ["1", "0", "0"] * 9}
    done = simulate(tmp_path / "job.json", {k: np.array(v) for k, v in rows.items()}, parties=3)
    assert done.spec.features is not None
    assert done.spec.features.recipe == recipe_of()
    assert done.spec.column_names == ("age", "job", "y")
    features["recipe"] = "inputs"
    (tmp_path / "job.json").write_text(json.dumps(job))
    with pytest.raises(SecureFlowError, match="no file 'inputs' beside the job file") as caught:
        simulate(tmp_path / "job.json", {"age": np.array([1.0])}, parties=3)
    assert "--save" in caught.value.hint


def test_a_simulation_and_a_prediction_take_the_raw_columns(tmp_path: Any) -> None:
    spec = spec_of(recipe_of(), plan={"validation": 0.0, "rounds": 2})
    draw = np.random.default_rng(2)
    ages, jobs = draw.integers(0, 100, 90), draw.choice(["a", "b", ""], 90)
    lines = [f"{a},{j},{int(a > 50)}" for a, j in zip(ages, jobs, strict=True)]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["age,job,y", *lines]))
    keep = ("features", "plan", "model")
    request = {k: v for k, v in dump(spec).items() if k in keep} | {"kind": "training"}
    done = simulate(request, table, parties=3)
    model = done.model
    with opened_rows(table, model, (), keep_all=False, missing=[""]) as source:
        assert sum(len(model.predict(block.rows)) for block in source.blocks()) == 90


def test_a_cell_that_stays_missing_is_named_where_a_model_needs_it() -> None:
    recipe = recipe_of(lambda v: (v["steps"].pop(0), v["fits"].pop(0)))
    raw: Any = {"age": np.array([1.0, np.nan]), "job": np.array(["a", "b"], object),
                "y": np.array(["0", "1"], object)}  # fmt: skip
    with pytest.raises(SecureFlowError) as caught:
        runner_of(spec_of(recipe), raw)
    assert (caught.value.code, caught.value.details) == (
        "malformed_cell", {"row": 2, "column": "age"}
    )  # fmt: skip
