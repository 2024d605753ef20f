"""From the opened total to answers: estimates, the noise's standard error, 95 % intervals.

Everything here is post-processing of released numbers: it touches no data and costs no ε. The
errors are those of the noise alone (and, under `local`, of the responses), not of sampling people;
they do not include clamping and rounding. If the noise leaves no answer, `value` is null and
`reason` says why.

Rows are `{"group", "cell", "quantile", "value", "standard_error", "low", "high", "reason"}`; `cell`
is a category or `[low, high]`. Variance is that of the population, of values clamped to bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.quorum import honest_of
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.statistics.cells import (
    response_counts,
    response_intervals,
    response_variances,
)
from secureflow.engines.statistics.layout import UNIT, QueryLayout, cell_edges, layout
from secureflow.engines.statistics.quantiles import NORMAL, answered, noised

TOO_FEW_ROWS: Final = "too_few_rows"
"""The reason of a missing answer: the noised number of rows is not positive."""
_CURVED: Final = 8.0
"""A variance contains squares of quotients: if the count has fewer standard deviations, its error,
which assumes linearity, misses the truth in up to a fifth of all releases."""
_NOTHING: Final = (-math.inf, math.inf)

Vector = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class _Slots:
    """One group's slots in rows (not steps), with the errors of their noise.

    Args:
        place: the query's layout.
        values: sums in units of one row or one half-range.
        error: the noise's standard deviation on each (central noise).
        bounds: those of the measured numeric column.
        names: the categories of the measured category column.
    """

    place: QueryLayout
    values: Vector
    error: float
    bounds: tuple[float, float]
    names: tuple[str, ...]

    @property
    def local(self) -> bool:
        return self.place.privacy.noise == "local"

    @property
    def middle(self) -> float:
        return (self.bounds[0] + self.bounds[1]) / 2

    @property
    def half(self) -> float:
        return (self.bounds[1] - self.bounds[0]) / 2

    def value_error(self, count: float) -> float:
        """The error of a sum of this many values, each with its own noise."""
        return math.sqrt(2 * max(count, 0.0)) * self.place.value_scale / UNIT


def answers(spec: StatisticsSpec, total: NDArray[np.int64], survivors: int) -> list[Row]:
    """Return the answer to each query, in the order of the spec.

    Args:
        spec: a checked spec.
        total: the opened total (`opened_totals`).
        survivors: the number of parties in it: each added its noise.

    Returns:
        Per query `{"name", "measure", "column", "by", "rows"}`.
    """
    found = []
    for place in layout(spec):
        query = place.query
        rows = [row for part in _groups(spec, place, total, survivors) for row in part]
        found.append(
            {
                "name": query.name,
                "measure": query.measure,
                "column": query.column,
                "by": query.by,
                "rows": rows,
            }
        )
    return found


def noise_error(place: QueryLayout, parties: int, survivors: int) -> float:
    """Return the standard deviation in steps of the noise in each slot of the total."""
    one = place.share(honest_of(parties))
    if place.privacy.mechanism == "laplace":
        one *= math.sqrt(2)
    return one * math.sqrt(survivors)


def _groups(
    spec: StatisticsSpec, place: QueryLayout, total: NDArray[np.int64], survivors: int
) -> list[list[Row]]:
    query = place.query
    column = None if query.column is None else spec.column(query.column)
    local = spec.privacy.noise == "local"
    error = 0.0 if local else noise_error(place, len(spec.roster), survivors) / UNIT
    values = total[place.slice] / UNIT
    bounds = (column.bounds if column else None) or (0.0, 0.0)
    names = column.categories if column else ()
    if local and query.measure == "count":  # the groups are one question: which of them?
        part = _Slots(place, values, error, bounds, names)
        named = zip(place.groups, _cells(part), strict=True)
        return [[{**row, "group": group}] for group, row in named]
    found = []
    for at, group in enumerate(place.groups):
        own = values[at * place.each : (at + 1) * place.each]
        rows = _MEASURES[query.measure](_Slots(place, own, error, bounds, names))
        named_group = group if query.by is not None else None
        found.append([{**row, "group": named_group} for row in rows])
    return found


def _row(
    value: float | None,
    error: float | None = None,
    within: tuple[float, float] = _NOTHING,
    interval: tuple[float, float] | None = None,
    **facts: Any,
) -> Row:
    """Return a row, with value and interval clamped to the possible range."""
    row: Row = {
        "group": None, "cell": None, "quantile": None, "value": None,
        "standard_error": None, "low": None, "high": None, "reason": "",
    }  # fmt: skip
    if value is None or error is None:
        return row | {"reason": TOO_FEW_ROWS} | facts
    low, high = interval or (value - NORMAL * error, value + NORMAL * error)
    clamped = (min(max(number, within[0]), within[1]) for number in (value, low, high))
    value, low, high = (float(number) for number in clamped)
    return row | {"value": value, "standard_error": error, "low": low, "high": high} | facts


def _count(part: _Slots) -> list[Row]:
    return [_row(float(part.values[0]), part.error, (0.0, math.inf))]


def _sum(part: _Slots) -> list[Row]:
    low, high = part.bounds
    within = (0.0 if low >= 0 else -math.inf, 0.0 if high <= 0 else math.inf)
    if part.local:
        centred, count = (float(number) for number in part.values)
        error = part.half * part.value_error(count)
        return [_row(part.middle * count + part.half * centred, error, within)]
    scale = max(abs(low), abs(high))
    return [_row(float(part.values[0]) * scale, part.error * scale, within)]


def _mean(part: _Slots) -> list[Row]:
    total, count = (float(number) for number in part.values)
    if count <= 0:
        return [_row(None)]
    ratio = total / count
    error = part.error / count * math.hypot(1.0, ratio)
    if part.local:
        error = part.value_error(count) / count
    return [_ratio(part, part.middle + part.half * ratio, part.half * error, part.bounds)]


def _variance(part: _Slots) -> list[Row]:
    total, squares, count = (float(number) for number in part.values)
    if count <= 0:
        return [_row(None)]
    mean = total / count
    value = (squares / count + 1) / 2 - mean**2
    slopes = (-2 * mean, 0.5, 2 * mean**2 - squares / count / 2)  # by total, squares, count
    error = part.error
    if part.local:
        error, slopes = part.value_error(count), (*slopes[:2], 0.0)
    scale = part.half**2
    within = (0.0, scale)  # half the values at either bound
    error = scale * error / count * math.hypot(*slopes)
    return [_ratio(part, scale * value, error, within, _CURVED)]


def _ratio(
    part: _Slots, value: float, error: float, within: tuple[float, float], least: float = NORMAL
) -> Row:
    """Return the row of a quotient by the last slot; without a value if that may well be 0.

    Args:
        part: the slots.
        value: the estimate.
        error: its standard deviation, as far as the quotient is linear.
        within: the possible range.
        least: by how many standard deviations the last slot must differ from 0.
    """
    vague = part.values[-1] <= least * part.error
    return _row(value, error, within, within if vague else None)


def _cells(part: _Slots) -> list[Row]:
    counts, errors = part.values, np.full(len(part.values), part.error)
    lows, highs = counts - NORMAL * errors, counts + NORMAL * errors
    if part.local:
        truth = part.place.truth
        counts = response_counts(part.values, truth)
        errors = np.sqrt(response_variances(part.values, truth))
        lows, highs = response_intervals(part.values, truth, NORMAL)
    within = (0.0, float(part.values.sum()) if part.local else math.inf)
    columns = (one.tolist() for one in (counts, errors, lows, highs))
    return [
        _row(count, error, within, (low, high), cell=_cell(part, at))
        for at, (count, error, low, high) in enumerate(zip(*columns, strict=True))
    ]


def _cell(part: _Slots, at: int) -> str | list[float] | None:
    if part.place.query.measure == "count":
        return None
    return part.names[at] if part.names else _edges(part)[at : at + 2].tolist()


def _edges(part: _Slots) -> Vector:
    return cell_edges(*part.bounds, part.place.cells)


def _quantile(part: _Slots) -> list[Row]:
    place, edges = part.place, _edges(part)
    if part.local:
        curve = answered(part.values, place.truth, edges)
    else:
        curve = noised(part.values, place.widths, edges, part.error)
    rows = []
    for quantile in place.query.quantiles:
        if curve.rows <= 0:
            rows.append(_row(None, quantile=quantile))
            continue
        value, low, high = curve.quantile(quantile)
        error = (high - low) / (2 * NORMAL)
        rows.append(_row(value, error, part.bounds, (low, high), quantile=quantile))
    return rows


_MEASURES: Final[Mapping[str, Callable[[_Slots], list[Row]]]] = {
    "count": _count,
    "sum": _sum,
    "mean": _mean,
    "variance": _variance,
    "histogram": _cells,
    "quantile": _quantile,
}
