"""Products of columns, and which columns stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.bounds import MAX_BOUND
from secureflow.domain.specs.selection import chosen, nearest
from secureflow.domain.specs.steps import Drop, Interact, Select
from secureflow.domain.specs.tables import present
from secureflow.engines.preparation.steps.step import (
    FULL,
    Learning,
    Products,
    Rows,
    State,
    StepEngine,
    Tally,
    bounds_of,
    moment_tally,
    moments,
    unit_scaled,
    unresolved,
)
from secureflow.engines.preparation.steps.values import Numbers64

Fitted = Mapping[str, Any]
Arrays = dict[str, NDArray[Any]]


def _products(step: Interact, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del fit, strict
    names = present(step, rows.table)
    return {
        f"{a}*{b}": np.clip(rows.numbers(a) * rows.numbers(b), -MAX_BOUND, MAX_BOUND)
        for at, a in enumerate(names)
        for b in names[at + 1 :]
    }


def _unchanged(step: Select | Drop, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del step, rows, fit, strict
    return {}


def _select_tally(step: Select, number: int, state: State, rows: Rows, name: str) -> Tally:
    del number, state
    if step.by == "variance":
        return moment_tally(rows, name)
    names = present(step, rows.table)
    scaled = np.column_stack([unit_scaled(rows.numbers(one), rows.bounds(one)) for one in names])
    scaled[np.isnan(scaled).any(axis=1)] = np.nan
    return Products(scaled)


def _select_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    del number, state
    if about.step.by == "variance":
        return {"value": moments(totals, bounds_of(about.table, name), about.off)[1]}
    return {"values": _correlations(about, totals)}


def _correlations(about: Learning, totals: Numbers64) -> dict[str, dict[str, float]]:
    """Return |r| of each pair of columns, the first of the two first."""
    names = present(about.step, about.table)
    count = len(names)
    rows = float(totals[-1])
    products = np.zeros((count, count))
    first, second = np.triu_indices(count)
    products[first, second] = products[second, first] = totals[count:-1]
    if rows < 1:
        return {name: {} for name in names}
    means = totals[:count] / rows
    spread = products / rows - np.outer(means, means)
    variances = np.diag(spread)
    variances = np.where(variances > unresolved(rows, about.off), variances, 0.0)
    scale = np.sqrt(np.outer(variances, variances))
    found = np.where(scale > 0, np.abs(spread) / np.maximum(scale, FULL), 0.0)
    found = np.minimum(found, 1.0)
    return {
        a: {b: float(found[i, j]) for j, b in enumerate(names) if j > i}
        for i, a in enumerate(names)
    }


def _kept(about: Learning) -> dict[str, Any]:
    """Return which columns stay, by information values that a step before it found."""
    step: Select = about.step
    values: dict[str, float] = {}
    for fit in about.fits:
        for name, one in (fit or {}).get("columns", {}).items():
            if "iv" in one:
                values[name] = one["iv"]
    values = {name: values[name] for name in present(step, about.table)}
    return {"columns": {}, "kept": chosen(step, values), "values": values}


def selected(step: Select, names: tuple[str, ...], states: Mapping[str, State]) -> dict[str, Any]:
    """Return the fit of a selection whose passes are over.

    Args:
        step: by variance or correlation.
        names: the columns that it chooses from.
        states: what was learned, by column; of correlations at "".
    """
    values: dict[str, Any]
    if step.by == "variance":
        values = {name: float(states[name]["value"]) for name in names}
    else:
        values = nearest(step, names, states[""]["values"])
    return {"columns": {}, "kept": chosen(step, values), "values": values}


INTERACT: Final = StepEngine(_products)
SELECT: Final = StepEngine(_unchanged, _select_tally, _select_learn, _kept)
DROP: Final = StepEngine(_unchanged)
