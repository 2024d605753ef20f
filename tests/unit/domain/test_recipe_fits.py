"""A recipe from outside: its fits must be such as its steps can have learned over its columns."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.recipe import Recipe, check_recipe
from secureflow.kit.errors import SecureFlowError

AGE = {"column": "age", "type": "number", "bounds": [0, 100]}
JOB = {"column": "job", "type": "category", "categories": ["a", "b"]}
OTHER = {"column": "old", "type": "number", "bounds": [0, 10]}
SELECT = {"step": "select", "columns": ["age", "old"]}
LABEL = {"column": "y", "positive": "1"}

STEPS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]] = {
    "mean": ([{"step": "impute", "columns": ["age"], "by": "mean"}], [{"value": 40}], ["age"]),
    "mode": ([{"step": "impute", "columns": ["job"], "by": "mode"}], [{"value": "a"}], ["job"]),
    "constant": (
        [{"step": "impute", "columns": ["age"], "by": "constant", "value": 7}],
        [{"value": 7}],
        ["age"],
    ),
    "standardise": (
        [{"step": "standardise", "columns": ["age"]}], [{"mean": 40, "std": 20}], ["age"]
    ),
    "ends": (
        [{"step": "min_max", "columns": ["age"], "of": "rows"}], [{"low": 3, "high": 90}], ["age"]
    ),
    "quantiles": (
        [{"step": "quantile_bins", "columns": ["age"], "bins": 4}], [{"edges": [9, 60]}], ["age"]
    ),
    "widths": (
        [{"step": "width_bins", "columns": ["age"], "bins": 4}], [{"edges": [25, 50, 75]}], ["age"]
    ),
    "woe": (
        [{"step": "woe", "columns": ["job"]}], [{"woe": [0.1, -0.2, 0], "iv": 0.3}], ["job"]
    ),
    "one_hot": (
        [{"step": "one_hot", "columns": ["job"], "missing": "indicator"}],
        [{"kept": [0, 1], "merged": False}],
        ["job=a", "job=b", "job.missing"],
    ),
    "power": ([{"step": "yeo_johnson", "columns": ["age"]}], [{"lambda": 0.5}], ["age"]),
    "drop": ([{"step": "drop", "columns": ["age"]}], [{}], []),
}  # fmt: skip
NUMBERS = {"age": 4.0, "old": 1.0}
SELECTIONS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "variance": ("variance", NUMBERS, ["age"]),
    "correlation": ("correlation", {"age": {}, "old": {"age": 0.5}}, ["age", "old"]),
}


def recipe_of(steps: list[Any], fits: list[Any], outputs: Mapping[str, str]) -> Recipe:
    value = {
        "job": "job_0123456789",
        "spec": "a" * 64,
        "columns": [AGE, JOB, OTHER],
        "steps": steps,
        "fits": fits,
        "outputs": [{"name": name, "type": kind} for name, kind in outputs.items()],
        "label": LABEL if any(step["step"] == "woe" for step in steps) else None,
    }
    return parse(Recipe, value, "recipe")


def of_case(case: str, fit: Any) -> Recipe:
    steps, _, made = STEPS[case]
    (column,) = steps[0]["columns"]
    kinds = {"age": "number", "job": "category", "old": "number"}
    if steps[0]["step"].endswith("bins"):
        kinds["age"] = "category"
    if case == "woe":
        kinds["job"] = "number"
    names = [one for name in kinds for one in (made if name == column else [name])]
    return recipe_of(steps, [fit], {name: kinds.get(name, "number") for name in names})


def whole(case: str, one: Any) -> dict[str, Any]:
    steps, _, _ = STEPS[case]
    return {"columns": {steps[0]["columns"][0]: one} if one else {}}


def refused(recipe: Recipe) -> None:
    with pytest.raises(SecureFlowError, match="invalid_recipe"):
        check_recipe(recipe)


@pytest.mark.parametrize("case", STEPS)
def test_what_a_step_can_have_learned_is_taken(case: str) -> None:
    check_recipe(of_case(case, whole(case, STEPS[case][1][0])))


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        *(("mean", {"value": value}) for value in (101, -1, 1e90, 10**400, "40", True, None)),
        *(("mode", {"value": value}) for value in ("c", 0, ["a"])),
        *(("constant", {"value": value}) for value in (8, "7", True)),
        *(("standardise", {"mean": 40, "std": std}) for std in (0, -1, 5e-324, 51, 10**400)),
        *(("standardise", {"mean": mean, "std": 20}) for mean in (-3, 1e90, float("nan"))),
        *(("ends", {"low": low, "high": 90}) for low in (-1, 91, -1e308)),
        *(("quantiles", {"edges": edges})
          for edges in ([1, 2, 3, 4], [60, 9], [9, 9], [-1], [10**400], "19", {"1": 2}, None)),
        *(("widths", {"edges": edges}) for edges in ([25, 50], [1, 2, 99], [25, 50, 75, 76])),
        *(("woe", {"woe": weights, "iv": 0.3})
          for weights in ([0.1, 0.2], [0, 0, 0, 0], "abc", [0, 0, float("inf")])),
        ("woe", {"woe": [0, 0, 0], "iv": "0.3"}),
        *(("one_hot", {"kept": kept, "merged": merged})
          for kept, merged in (([0], True), ([0], False), ([0, 1], True), ([1, 0], False),
                               ([0, 2], False), ([False, True], False), ([[0]], False))),
        *(("power", {"lambda": power}) for power in (40.0, -4.1, 1e300, True)),
        ("drop", {"value": 1}),
    ],
)  # fmt: skip
def test_what_it_cannot_is_refused(case: str, wrong: dict[str, Any]) -> None:
    refused(of_case(case, whole(case, wrong)))


@pytest.mark.parametrize("case", STEPS)
def test_a_fit_has_the_members_of_its_step_and_no_others(case: str) -> None:
    right = whole(case, STEPS[case][1][0])
    (column,) = STEPS[case][0][0]["columns"]
    wrong: list[Any] = [{}, {"columns": []}, {"columns": {"other": {"value": 1}}}]
    wrong += [{**right, "kept": ["age"]}, {**right, "values": {"x": [[[[1]]]]}}, {"columns": None}]
    wrong += [{"columns": {column: [1]}}, {"columns": {column: {"more": 1}}}]
    for fit in wrong:
        refused(of_case(case, copy.deepcopy(fit)))


@pytest.mark.parametrize("case", SELECTIONS)
def test_the_columns_that_stay_follow_from_what_they_were_chosen_by(case: str) -> None:
    by, values, kept = SELECTIONS[case]
    steps = [{**SELECT, "by": by, "threshold": 1.0}]

    def chosen(names: Any, found: Any) -> Recipe:
        outputs = {name: "number" for name in ("age", "old") if name in names}
        both = {name: outputs[name] for name in outputs if name == "age"}
        rest = {name: outputs[name] for name in outputs if name != "age"}
        fit = {"columns": {}, "kept": names, "values": found}
        return recipe_of(steps, [fit], {**both, "job": "category", **rest})

    check_recipe(chosen(kept, values))
    others: list[list[str]] = [["old"], ["old", "age"], ["age", "age"], []]
    for names in others:
        refused(chosen(names, values))
    hidden = {"age": {"age": {"\u202ethis": 1}}, "old": {}}
    for found in ({}, {"age": values["age"]}, {**values, "job": 1.0}, hidden, [], "age"):
        refused(chosen(kept, found))


def test_information_values_are_those_of_the_weights() -> None:
    steps = [{"step": "woe", "columns": ["job"]},
             {"step": "select", "columns": ["job"], "by": "iv", "threshold": 0.1}]  # fmt: skip
    encoded = {"columns": {"job": {"woe": [0.1, -0.2, 0], "iv": 0.3}}}
    made = {"age": "number", "job": "number", "old": "number"}
    for value, right in ((0.3, True), (0.4, False)):
        fit = {"columns": {}, "kept": ["job"], "values": {"job": value}}
        recipe = recipe_of(steps, [encoded, fit], made)
        if right:
            check_recipe(recipe)
        else:
            refused(recipe)


@pytest.mark.parametrize(
    "columns",
    [
        [{**AGE, "bounds": [100, 0]}, JOB, OTHER],
        [{**AGE, "bounds": None}, JOB, OTHER],
        [{**AGE, "bounds": [0, 1e300]}, JOB, OTHER],
        [{**AGE, "categories": ["a"]}, JOB, OTHER],
        [AGE, {**JOB, "categories": ["a", "a"]}, OTHER],
        [AGE, JOB, OTHER, AGE],
    ],
)
def test_its_columns_are_such_as_a_preparation_reads(columns: list[Any]) -> None:
    recipe = of_case("mean", whole("mean", {"value": 40}))
    facts = {"columns": columns, "steps": recipe.steps, "fits": recipe.fits}
    value = {"job": recipe.job, "spec": recipe.spec, "outputs": recipe.outputs, **facts}
    refused(parse(Recipe, value, "recipe"))


def test_weights_of_evidence_are_of_a_label() -> None:
    recipe = of_case("woe", whole("woe", STEPS["woe"][1][0]))
    value = {"job": recipe.job, "spec": recipe.spec, "outputs": recipe.outputs,
             "columns": recipe.columns, "steps": recipe.steps, "fits": recipe.fits}  # fmt: skip
    refused(parse(Recipe, value, "recipe"))
