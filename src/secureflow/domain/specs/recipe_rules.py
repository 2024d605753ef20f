"""Contradictions between a recipe and the inputs of a model that are made by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.base import Problem, dump, parse
from secureflow.domain.specs.recipe import (
    FETCH_AGAIN,
    Recipe,
    check_recipe,
    number_columns,
)
from secureflow.domain.specs.tables import ColumnType, Numbers, Table
from secureflow.domain.specs.training import FeatureSpec, NumericFeature
from secureflow.kit.text import Text

MAX_INPUT: Final = 1e30
"""Numbers beyond this, or sums of a few of their squares, are no float32."""
_SLACK: Final = 1e-9
"""By which a bound may differ, relative to their width."""


def recipe_problem(features: FeatureSpec) -> Problem | None:
    """Return a contradiction between a recipe and the inputs that are made of it, or None."""
    recipe = features.recipe
    if recipe is None:
        asis = next((one.column for one in features.numeric if one.scale == "none"), None)
        reason = "only what a recipe makes is an input as it is"
        hint = "Write `scale: bounds`, or `federated`."
        return (f"features.{asis}.scale", reason, hint) if asis is not None else None
    if features.categorical or features.beside:
        reason = "a recipe makes all inputs, and they are numbers"
        return "features.recipe", reason, "Leave out other features than `recipe` and `numeric`."
    if fault := recipe.fault:
        return "features.recipe", fault, FETCH_AGAIN
    return _made_problem(features, recipe, recipe.after_all)


def with_inputs(features: Any) -> Any:
    """Return a request's features with the inputs that their recipe makes, if they leave them out.

    Raises:
        SecureFlowError: `invalid_recipe`.
    """
    if not isinstance(features, Mapping) or features.get("numeric"):
        return features
    if not isinstance(features.get("recipe"), Mapping):
        return features
    recipe = parse(Recipe, features["recipe"], "recipe")
    check_recipe(recipe)
    made = [dump(NumericFeature(name, bounds, "none")) for name, bounds in number_columns(recipe)]
    return {**features, "numeric": made}


def _made_problem(features: FeatureSpec, recipe: Recipe, table: Table) -> Problem | None:
    """Return a contradiction between what a recipe makes and what the model is to see, or None."""
    other = next((one.name for one in recipe.outputs if one.type != "number"), None)
    if other is not None:
        reason = Text("its column {name!r} holds no numbers after the last step", name=other)
        return "features.recipe", reason, "Encode it (`one_hot`, `ordinal`, `woe`), or drop it."
    taken = next((name for name in features.beside_recipe if name in table), None)
    if taken is not None:
        reason = Text("it makes a column {name!r}, which is the label or the weight", name=taken)
        return "features.recipe", reason, "Fit it with a last step that drops the column."
    made = {one.column: one.bounds for one in features.numeric}
    large = next((name for name, (low, high) in made.items() if max(-low, high) > MAX_INPUT), None)
    if large is not None:
        reason = Text("its column {name!r} may hold numbers that float32 does not", name=large)
        return "features.recipe", reason, "Fit it with a step that scales or clips the column."
    listed = [one.column for one in features.numeric]
    if listed != list(table) or not all(_alike(made[name], table[name]) for name in made):
        wrong = "`numeric` must be what the recipe makes, in its order and with its bounds"
        return "features.numeric", wrong, "Leave `numeric` out: it follows from the recipe."
    return None


def _alike(bounds: Bounds, held: ColumnType) -> bool:
    """Tell whether bounds are those of a column: logarithms differ in the last bit by platform."""
    if not isinstance(held, Numbers) or held.bounds is None:
        return False
    slack = _SLACK * (held.bounds[1] - held.bounds[0])
    return all(abs(a - b) <= slack for a, b in zip(bounds, held.bounds, strict=True))
