"""Bins, and what becomes of categories: weights of evidence, one-hot, positions, buckets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.steps import HashText, OneHot, Ordinal, QuantileBins, WidthBins, Woe
from secureflow.domain.specs.tables import one_hot_names, present
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
    Tally,
    bounds_of,
    categories_of,
)
from secureflow.engines.preparation.steps.values import MISSING, Codes, Numbers64

Fitted = Mapping[str, Any]
Arrays = dict[str, NDArray[Any]]


def _quantiles(step: QuantileBins) -> tuple[float, ...]:
    return tuple(at / step.bins for at in range(1, step.bins))


def _quantile_tally(step: QuantileBins, number: int, state: State, rows: Rows, name: str) -> Tally:
    del step
    return search_tally(number, state, rows.numbers(name), rows.bounds(name))


def _quantile_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    bounds, quantiles = bounds_of(about.table, name), _quantiles(about.step)
    found = search_learn(number, state, totals, bounds, quantiles)
    if not about.last:
        return found
    return {"edges": sorted(set(found_quantiles(found, bounds, quantiles)))}


def _width_fit(about: Learning) -> dict[str, Any]:
    step: WidthBins = about.step
    edges = {
        name: np.linspace(*bounds_of(about.table, name), step.bins + 1)[1:-1].tolist()
        for name in present(step, about.table)
    }
    return {"columns": {name: {"edges": found} for name, found in edges.items()}}


def _binned(step: QuantileBins | WidthBins, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del strict
    return {
        name: _bin(rows.numbers(name), fit["columns"][name]["edges"])
        for name in present(step, rows.table)
    }


def _bin(values: Numbers64, edges: list[float]) -> Codes:
    """Return each number's bin: a number at an edge belongs to the bin above it."""
    found = np.searchsorted(np.asarray(edges, np.float64), values, side="right")
    return np.where(np.isnan(values), MISSING, found).astype(np.int32)


def _woe_tally(step: Woe, number: int, state: State, rows: Rows, name: str) -> Tally:
    """Count each row in its category (a missing cell is the last one) and class, 1 first."""
    del step, number, state
    if rows.label is None:
        raise AssertionError(name)  # the spec was checked
    size = len(categories_of(rows.table, name)) + 1
    codes = rows.codes(name).astype(np.int64)
    slots = np.where(codes == MISSING, size - 1, codes) + np.where(rows.label == 1, 0, size)
    return Cells(np.where(np.isnan(rows.label), -1, slots))


def _woe_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    del number, state
    size, smoothing = len(categories_of(about.table, name)) + 1, about.step.smoothing
    ones, zeros = np.maximum(totals[:size], 0.0), np.maximum(totals[size:], 0.0)
    share = (ones + smoothing) / (ones.sum() + smoothing * size)
    other = (zeros + smoothing) / (zeros.sum() + smoothing * size)
    weights = np.log(share / other)
    value = float(((share - other) * weights).sum())
    return {"woe": weights.tolist(), "iv": value}


def _weighed(step: Woe, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del strict
    # MISSING is −1: the last weight.
    return {
        name: np.asarray(fit["columns"][name]["woe"], np.float64)[rows.codes(name)]
        for name in present(step, rows.table)
    }


def _category_tally(step: Any, number: int, state: State, rows: Rows, name: str) -> Tally:
    del step, number, state
    return Cells(rows.codes(name).astype(np.int64))


def _one_hot_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    del number, state, name
    kept = [at for at, rows in enumerate(totals.tolist()) if rows >= about.step.least]
    return {"kept": kept, "merged": len(kept) < len(totals)}


def _one_hot_fit(about: Learning) -> dict[str, Any]:
    kept = {
        name: {"kept": list(range(len(categories_of(about.table, name)))), "merged": False}
        for name in present(about.step, about.table)
    }
    return {"columns": kept}


def _one_hot(step: OneHot, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del strict
    found: Arrays = {}
    for name in present(step, rows.table):
        one, codes = fit["columns"][name], rows.codes(name)
        columns = one_hot_names(step, name, categories_of(rows.table, name), fit)
        marks = [codes == at for at in one["kept"]]
        if len(columns) > len(marks) and one["merged"]:
            marks.append((codes != MISSING) & ~np.isin(codes, one["kept"]))
        if step.missing == "indicator":
            marks.append(codes == MISSING)
        found |= {
            column: mark.astype(np.float64) for column, mark in zip(columns, marks, strict=True)
        }
    return found


def _placed(step: Ordinal, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del fit, strict
    return {
        name: np.where(rows.codes(name) == MISSING, math.nan, rows.codes(name).astype(np.float64))
        for name in present(step, rows.table)
    }


def _hashed(step: HashText, rows: Rows, fit: Fitted, strict: bool) -> Arrays:
    del fit, strict
    found: Arrays = {}
    for name in present(step, rows.table):
        known: dict[Any, int] = {None: MISSING}
        cells = rows.values[name].tolist()
        for cell in set(cells) - {None}:
            hashed = hashlib.blake2b(cell.encode("utf-8", "replace"), digest_size=8).digest()
            known[cell] = int.from_bytes(hashed) % step.buckets
        found[name] = np.fromiter((known[cell] for cell in cells), np.int32, len(cells))
    return found


QUANTILE_BINS: Final = StepEngine(_binned, _quantile_tally, _quantile_learn)
WIDTH_BINS: Final = StepEngine(_binned, fit=_width_fit)
WOE: Final = StepEngine(_weighed, _woe_tally, _woe_learn)
ONE_HOT: Final = StepEngine(_one_hot, _category_tally, _one_hot_learn, _one_hot_fit)
ORDINAL: Final = StepEngine(_placed)
HASH: Final = StepEngine(_hashed)
