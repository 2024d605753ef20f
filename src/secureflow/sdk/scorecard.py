"""Scorecards: the points of each bin, from a logistic regression on weights of evidence.

Points follow Siddiqi (Credit Risk Scorecards, 2006, chapter 6): a score is
offset + factor · ln(odds of the negative class), factor = doubling / ln 2, and `base` points stand
for odds of `odds` : 1. A row's score is the sum of its columns' points; each column carries an
equal part of offset and intercept. Higher means less of the positive class.

    card = scorecard(model)
    card.points                      # for people: column, bin, its weight of evidence, its points
    card.score(frame)                # float64 (rows,)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.tables import Categories, Table, tables
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor


@dataclass(frozen=True)
class ScorePoint:
    """The points of one bin of a column.

    Args:
        column: the column that the recipe reads.
        bin: its interval or category; `missing` for missing cells.
        woe: the weight of evidence.
        points: what a row in it gets.
    """

    column: str
    bin: str
    woe: float
    points: float


@dataclass(frozen=True)
class Scorecard:
    """A model as points.

    Args:
        points: of each bin of each column that the model sees.
        offset, factor: as in the module.
        model: what it is made of.
    """

    points: tuple[ScorePoint, ...]
    offset: float
    factor: float
    model: Predictor

    def score(self, rows: Any) -> NDArray[np.float64]:
        """Return each row's points, float64 (rows,); rows as `Predictor.predict` takes them."""
        # Log-odds, not chances: near 0 and 1 float32 chances are some whole points apart.
        return self.offset - self.factor * self.model.log_odds(rows).astype(np.float64)


def scorecard(
    model: Predictor, *, base: float = 600.0, odds: float = 50.0, doubling: float = 20.0
) -> Scorecard:
    """Return a model's scorecard.

    Args:
        model: a logistic regression on a recipe all of whose columns a step `woe` made.
        base: the points that stand for `odds`.
        odds: rows of the negative class for one of the positive.
        doubling: points that double the odds.

    Raises:
        SecureFlowError: `invalid_model` for another model; `invalid_request` for odds or points
            that are no positive numbers.
    """
    if not (odds > 0 and doubling > 0 and all(map(math.isfinite, (base, odds, doubling)))):
        raise SecureFlowError(
            "invalid_request",
            "Odds, and the points that double them, are positive numbers.",
            "Usual ones are base=600, odds=50, doubling=20.",
        )
    recipe = model.features.recipe
    if recipe is None or model.card.get("family") != "logistic_regression":
        raise _unfit()
    weights, intercept = model.parameters[:-1], float(model.parameters[-1])
    factor = doubling / math.log(2.0)
    offset = base - factor * math.log(odds)
    made = _evidence(recipe)
    names = [one.column for one in model.features.numeric]
    if set(names) - set(made):
        raise _unfit()
    part = offset / len(names)
    points = [
        ScorePoint(name, label, woe, part - factor * (weight * woe + intercept / len(names)))
        for name, weight in zip(names, weights.tolist(), strict=True)
        for label, woe in made[name]
    ]
    return Scorecard(tuple(points), offset, factor, model)


def _evidence(recipe: Recipe) -> dict[str, list[tuple[str, float]]]:
    """Return the bins of each column that a step `woe` made and no later one changed."""
    before = tables(recipe.table, recipe.steps, recipe.fits)[:-1]
    edges: dict[str, list[float]] = {}
    found: dict[str, list[tuple[str, float]]] = {}
    for step, fit, table in zip(recipe.steps, recipe.fits, before, strict=True):
        for name, one in fit["columns"].items():
            if "edges" in one:
                edges[name] = one["edges"]
            elif step.step == "woe":
                labels = (*_labels(name, table, edges), "missing")
                found[name] = list(zip(labels, one["woe"], strict=True))
        if step.step not in {"woe", "select", "drop"}:
            for name in step.columns:
                found.pop(name, None)
    return found


def _labels(name: str, table: Table, edges: Mapping[str, list[float]]) -> Iterator[str]:
    if name in edges:
        ends = ["", *(f"{one:.6g}" for one in edges[name]), ""]
        for low, high in pairwise(ends):
            yield f"[{low}, {high})" if low and high else f"< {high}" if high else f">= {low}"
        return
    held = table[name]
    yield from held.names if isinstance(held, Categories) else ()


def _unfit() -> SecureFlowError:
    return SecureFlowError(
        "invalid_model",
        "A scorecard is made of a logistic regression on weights of evidence alone.",
        "Train `logistic_regression` on a recipe whose last steps are `woe` and `select`.",
    )
