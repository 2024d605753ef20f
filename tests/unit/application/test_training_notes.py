"""What a dry run says of a training's inputs: of large numbers, and of owners' other bounds."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secureflow.application.jobs.declarations import bounds_notes
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
