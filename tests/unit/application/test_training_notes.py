"""What a dry run says of a training on a recipe: inputs that gradient steps do not converge on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from secureflow.application.jobs.training import unscaled_inputs


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
