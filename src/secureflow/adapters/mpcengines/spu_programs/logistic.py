"""Logistic regression applied to rows that lie with others than the model, or in several parts.

Inputs: `columns`, shape (n, d), at one party or more, the n-th row about the same person
everywhere; `weights` at one party, the coefficients of all columns in the parties' order, then the
intercept. Receivers learn of each row

- `output: probability` (the default): `probability`. The score x w + b is what is revealed, and
  the receiver puts it through the logistic function itself: either says the other, so computing the
  function on shares would cost much and hide nothing.
- `output: class`: `class`, 1 where the probability is above `threshold` (0.5), and nothing else;
  the score is compared on shares.

Who learns probabilities of enough rows that it knows can solve for the weights.

Error of a score: 2^-19 (|x|_1 + |w|_1 + 1) + d 2^-38 + 2^-18 of d columns, by rounding and one
truncation; of a probability a quarter of that. A class is the exact one's unless the score is
within that, and 2^-19 for the threshold, of the threshold's score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from .errors import RefusedError
from .whole import Array, Shapes, at_fault, on_grid

INPUTS: Final = {"columns": 2, "weights": 1}
LARGEST: Final = 4096.0
"""Of a number in a column, and of the sum of the weights' magnitudes: their product times 2^36,
twice, stays below 2^62."""


def prepare(inputs: Mapping[str, Array], parameters: Mapping[str, Any]) -> dict[str, Array]:
    """Return columns and weights, rounded.

    Raises:
        RefusedError: `not_finite`, `ring_overflow`, `parameter_wrong`.
    """
    _threshold(parameters)
    made = {name: np.asarray(array, np.float64) for name, array in inputs.items()}
    for array in made.values():
        at_fault(~np.isfinite(array), "not_finite")
    if "columns" in made:
        at_fault(np.abs(made["columns"]) > LARGEST, "ring_overflow")
    if "weights" in made and np.abs(made["weights"]).sum() > LARGEST:
        raise RefusedError("weights_large")
    return {name: on_grid(array) for name, array in made.items()}


def slots(shapes: Shapes, _parameters: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return the columns in the parties' order, then the weights.

    Raises:
        RefusedError: `lengths_differ`, `too_few_inputs`, `weights_wrong`.
    """
    owners = _owners(shapes)
    models = [place for place, one in enumerate(shapes) if "weights" in one]
    if len(models) != 1:
        raise RefusedError("weights_wrong", models=len(models))
    columns = sum(shapes[place]["columns"][1] for place in owners)
    weights = shapes[models[0]]["weights"][0]
    if weights != columns + 1:
        raise RefusedError("weights_wrong", models=1, weights=weights, columns=columns)
    return [*((place, "columns") for place in owners), (models[0], "weights")]


def _owners(shapes: Shapes) -> list[int]:
    owners = [place for place, one in enumerate(shapes) if "columns" in one]
    if not owners:
        raise RefusedError("too_few_inputs")
    rows = shapes[owners[0]]["columns"][0]
    for place in owners:
        if shapes[place]["columns"][0] != rows:
            other = shapes[place]["columns"][0]
            raise RefusedError("lengths_differ", peer=place, first=rows, other=other)
    return owners


def function(
    xp: Any, _shapes: Shapes, parameters: Mapping[str, Any]
) -> Callable[..., tuple[Any, ...]]:
    """Return: the scores, or whether they are above the threshold's."""
    bar = _threshold(parameters)

    def scores(*given: Any) -> tuple[Any, ...]:
        *columns, weights = given
        score = xp.matmul(xp.concatenate(columns, axis=1), weights[:-1, None])[:, 0] + weights[-1]
        return (score,) if bar is None else (score > bar,)

    return scores


def finish(
    results: Sequence[Array], _shapes: Shapes, parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """Return probabilities or classes."""
    if _threshold(parameters) is not None:
        return {"class": np.asarray(results[0], np.int64)}
    return {"probability": 1.0 / (1.0 + np.exp(-np.asarray(results[0], np.float64)))}


def _threshold(parameters: Mapping[str, Any]) -> float | None:
    """Return the score above which the class is 1, None where probabilities are wanted."""
    output, bar = parameters.get("output", "probability"), parameters.get("threshold", 0.5)
    if output not in {"probability", "class"} or type(bar) not in {int, float}:
        raise RefusedError("parameter_wrong")
    if not 0.0 < bar < 1.0:
        raise RefusedError("parameter_wrong")
    return None if output == "probability" else float(on_grid(math.log(bar / (1.0 - bar))))
