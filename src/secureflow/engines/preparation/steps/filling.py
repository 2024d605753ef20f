"""Missing cells: means, medians, modes and constants, and columns that say where they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.steps import Impute
from secureflow.domain.specs.tables import Categories, present
from secureflow.engines.preparation.steps.searching import (
    found_quantiles,
    search_learn,
    search_tally,
)
from secureflow.engines.preparation.steps.step import (
    Cells,
    Learning,
    Rows,
    State,
    StepEngine,
    Sums,
    Tally,
    bounds_of,
    categories_of,
    unit_scaled,
)
from secureflow.engines.preparation.steps.values import MISSING, Numbers64

_MEDIAN: Final = (0.5,)


def _tally(step: Impute, number: int, state: State, rows: Rows, name: str) -> Tally:
    if step.by == "mode":
        return Cells(rows.codes(name).astype(np.int64))
    values = rows.numbers(name)
    if step.by == "median":
        return search_tally(number, state, values, rows.bounds(name))
    scaled = unit_scaled(values, rows.bounds(name))
    return Sums(np.column_stack([scaled, np.where(np.isnan(scaled), 0.0, 1.0)]))


def _learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    if about.step.by == "mode":
        # Of categories that are equally frequent the first one.
        return {"value": categories_of(about.table, name)[int(np.argmax(totals))]}
    bounds = bounds_of(about.table, name)
    if about.step.by == "median":
        found = search_learn(number, state, totals, bounds, _MEDIAN)
        return {"value": found_quantiles(found, bounds, _MEDIAN)[0]} if about.last else found
    low, high = bounds
    share = float(totals[0] / totals[1]) if totals[1] >= 0.5 else 0.0
    value = (low + high) / 2 + (high - low) / 2 * share
    return {"value": min(max(value, low), high)}


def _fit(about: Learning) -> dict[str, Any]:
    value = about.step.value
    return {"columns": {name: {"value": value} for name in present(about.step, about.table)}}


def _apply(
    step: Impute, rows: Rows, fit: Mapping[str, Any], strict: bool
) -> dict[str, NDArray[Any]]:  # fmt: skip
    del strict
    found: dict[str, NDArray[Any]] = {}
    for name in present(step, rows.table):
        held, value = rows.table[name], fit["columns"][name]["value"]
        if isinstance(held, Categories):
            missing = rows.codes(name) == MISSING
            found[name] = np.where(missing, held.names.index(value), rows.codes(name)).astype("i4")
        else:
            missing = np.isnan(rows.numbers(name))
            found[name] = np.where(missing, value, rows.numbers(name))
        if step.indicator:
            found[f"{name}.missing"] = missing.astype(np.float64)
    return found


IMPUTE: Final = StepEngine(_apply, _tally, _learn, _fit)
