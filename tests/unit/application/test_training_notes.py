"""What a dry run says of a training: of large numbers, owners' other bounds, and seen labels."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secureflow.application.jobs.declarations import bounds_notes
from secureflow.application.jobs.training import unscaled_inputs
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.recipe import Recipe
from secureflow.engines.preparation.recipe import recipe_digest
from tests.stage import BANKS, Stage
from tests.unit.application.test_statistics_jobs import publish


@pytest.mark.parametrize(
    ("family", "bounds", "scale", "named"),
    [
        ("logistic_regression", (1900.0, 2100.0), "none", ["joined.year"]),
        ("logistic_regression", (-2100.0, 0.0), "none", ["joined.year"]),
        ("logistic_regression", (-5.0, 100.0), "none", []),
        ("logistic_regression", (1900.0, 2100.0), "federated", []),
        ("ridge", (1900.0, 2100.0), "none", []),
        ("gaussian_nb", (1900.0, 2100.0), "none", []),
    ],
)
def test_a_recipe_that_leaves_large_numbers_is_told(
    family: str, bounds: tuple[float, float], scale: str, named: list[str]
) -> None:
    numeric = SimpleNamespace(column="joined.year", bounds=bounds, scale=scale)
    spec = SimpleNamespace(
        model=SimpleNamespace(family=family),
        features=SimpleNamespace(recipe=object(), numeric=(numeric,)),
    )
    assert unscaled_inputs(cast("Any", spec)) == named
    spec.features.recipe = None
    assert unscaled_inputs(cast("Any", spec)) == []


class Counted(tuple[Any, ...]):
    """Counts how often it is gone through."""

    passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return super().__iter__()


def test_other_bounds_are_told_in_one_pass_of_each_owners_columns() -> None:
    bounds = (0.0, 1.0)
    names = [f"c{number}" for number in range(50)]
    same = Counted(SimpleNamespace(name=name, bounds=bounds) for name in names)
    none = Counted(SimpleNamespace(name=name, bounds=None) for name in names)
    chosen = {"bank-a": SimpleNamespace(columns=same), "bank-b": SimpleNamespace(columns=none)}
    spec = SimpleNamespace(bounds=[(name, bounds) for name in names])
    told = list(bounds_notes(cast("Any", spec), cast("Any", chosen)))
    assert [str(note) for note in told] == [
        f"bank-b declares no bounds for {name}; the job uses [0, 1]." for name in names
    ]
    assert (same.passes, none.passes) == (1, 1)


LABEL = {"column": "income", "positive": "high"}
JOB = {"column": "job", "type": "category", "categories": ["clerk", "farmer"]}
AGE = {"column": "age", "type": "number", "bounds": [0, 120]}
FITS: dict[bool, Any] = {
    True: {
        "columns": [JOB],
        "steps": [{"step": "woe", "columns": ["job"]}],
        "fits": [{"columns": {"job": {"woe": [0.1, -0.2, 0], "iv": 0.3}}}],
        "outputs": [{"name": "job", "type": "number"}],
        "label": LABEL,
    },
    False: {
        "columns": [AGE],
        "steps": [{"step": "standardise", "columns": ["age"]}],
        "fits": [{"columns": {"age": {"mean": 40, "std": 20}}}],
        "outputs": [{"name": "age", "type": "number"}],
    },
}
"""What a preparation makes with weights of evidence, and without."""
BY_KEY = {"validation": 0.2, "split": {"by": "key"}}
SEEN = (
    "The recipe learned from labels (woe) of rows of bank-a, bank-b, bank-c, perhaps of those that "
    "validate: validation figures are then better than on rows that it has never seen. Hold rows "
    "out by key, in the preparation (held_out) and here (plan.split)."
)


@pytest.fixture
async def keyed(stage: Stage) -> Stage:
    for bank in BANKS:
        await publish(stage, bank, {"unit": "person", "rows_per_person": 1})
    return stage


async def notes(stage: Stage, held_out: Any = None, woe: bool = True, **parts: Any) -> list[str]:
    """Dry-run a job on a recipe whose fit left these rows out; a sweep if it has points."""
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    head = {name: job.spec[name] for name in ("project", "name", "purpose", "submitter", "roster")}
    asked_for = {
        name: FITS[woe][name] for name in ("columns", "steps", "label") if name in FITS[woe]
    }
    left_out = {"held_out": held_out} if held_out else {}
    fit = {**head, **asked_for, **left_out, "kind": "preparation"}
    recipe = {"job": job.id, "spec": "ab" * 32, "rows": 30.0, **FITS[woe]}
    report = {"recipe": {"digest": recipe_digest(parse(Recipe, recipe))}}
    await stage.finish(job, kind="preparation", spec=fit, report=report)
    parts = {"features": {"recipe": recipe, "label": LABEL}, **parts}
    kind = "sweep" if "sweep" in parts else "training"
    asked = stage.wanted(kind=kind, parts=parts)
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), asked)
    return [str(note) for note in told.notes if "learned from labels" in note]


@pytest.mark.parametrize(
    ("held_out", "plan", "told"),
    [
        (None, {"validation": 0.2}, True),
        (None, {"validation": 0.0}, False),
        (None, BY_KEY, True),
        ({"share": 0.2}, BY_KEY, False),
        ({"share": 0.1}, BY_KEY, True),
        ({"share": 0.2}, {"validation": 0.2}, True),
        ({"folds": 5, "fold": 1}, {"split": {"by": "key", "folds": 5, "fold": 1}}, False),
    ],
    ids=str,
)
async def test_validation_on_rows_whose_labels_a_recipe_has_seen_is_told(
    keyed: Stage, held_out: Any, plan: dict[str, Any], told: bool
) -> None:
    assert await notes(keyed, held_out, plan=plan) == [SEEN] * told


async def test_a_recipe_without_labels_has_seen_none(keyed: Stage) -> None:
    assert await notes(keyed, woe=False, plan={"validation": 0.2}) == []


@pytest.mark.parametrize("held_out", [None, {"folds": 2, "fold": 0}], ids=str)
async def test_a_sweep_tells_it_once_of_all_its_folds(keyed: Stage, held_out: Any) -> None:
    """A fit that left one fold out has seen the labels of the other one."""
    plan = {"split": {"by": "key"}}
    assert await notes(keyed, held_out, plan=plan, sweep={"folds": 2}) == [SEEN]


async def test_a_sweep_over_rows_that_the_fit_left_out_tells_nothing(keyed: Stage) -> None:
    points = {"grid": {"plan.learning_rate": [0.1, 0.3]}}
    assert await notes(keyed, {"share": 0.2}, plan=BY_KEY, sweep=points) == []
    assert await notes(keyed, {"share": 0.1}, plan=BY_KEY, sweep=points) == [SEEN]
