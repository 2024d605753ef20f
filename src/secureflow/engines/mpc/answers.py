"""From the opened totals of `joint-sums` to answers: exact ones, or estimates with their noise.

Rows are `{"group", "cell", "quantile", "value", "exact", "standard_error", "low", "high",
"reason"}`, as those of statistics. A `cell` is a category, `[low, high]`, or two columns. `exact`
is the number with every digit: a whole number beyond 2^53 has no other place in JSON. An exact
value is the float64 nearest to the true one, whatever the numbers.

Totals by keys stay in the file beside the report (`totals`); their answer says where, and what all
of them add up to. Everything here follows from released numbers: it touches no data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.quorum import honest_of
from secureflow.domain.specs.jointsums import (
    TOGETHER,
    halves_of,
    pairs_of,
    scale_of,
)
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.places import SPLIT, Place, places
from secureflow.engines.mpc.tally import cell_edges
from secureflow.engines.secagg.wholenumbers import Integers

TOO_FEW_ROWS: Final = "too_few_rows"
"""The reason of a missing answer: there are no rows, or their noised number may well be none."""
NO_SPREAD: Final = "no_spread"
"""The reason of a missing correlation: a column has one value, or noise leaves it no variance."""
NORMAL: Final = 1.959964
"""95 % of a normal distribution lies within this many standard deviations."""
_CURVED: Final = 8.0
"""So many standard deviations of its noise a number of rows has at least, where an answer divides
by it twice: below, its error, which assumes linearity, would miss the truth too often."""
_WHOLE: Final = (1 << 53) - 1

Row = dict[str, Any]
Floats = NDArray[np.float64]


def answers(spec: MpcSpec, totals: Integers, survivors: int) -> list[Row]:
    """Return the answer to each query, in the order of the spec.

    Args:
        spec: a checked spec.
        totals: the opened ones, int64.
        survivors: the number of parties in them: each added its share of the noise.

    Returns:
        Per query `{"name", "measure", "column", "by", "rows"}`, with `left_out` of an exact one,
        and `keys` of one that is told by keys.
    """
    return [_answer(spec, place, totals, survivors) for place in places(spec)]


def error_of(place: Place, parties: int, survivors: int) -> float:
    """Return the standard deviation of the noise on each total, in rows (0 without noise)."""
    return place.sigma / place.unit * math.sqrt(survivors / honest_of(parties))


def _answer(spec: MpcSpec, place: Place, totals: Integers, survivors: int) -> Row:
    query, own = place.query, totals[place.slice]
    found: Row = {
        "name": query.name,
        "measure": query.measure,
        "column": ", ".join(query.columns) or None,
        "by": query.by,
    }
    if not place.private:
        found["left_out"] = int(own[-1])
        own = own[:-1]
    error = error_of(place, len(spec.roster), survivors)
    if query.keys is not None:
        found["keys"] = {
            "column": query.keys.column,
            "first": query.keys.first,
            "count": query.keys.count,
            "offset": place.first,
            "step": step_of(place),
            "standard_error": error * _key_scale(place) if place.private else None,
        }
        return {**found, "rows": [_of_all_keys(place, own, error)]}
    rows: list[Row] = []
    for at, group in enumerate(place.groups):
        numbers = own[at * place.each : (at + 1) * place.each]
        told = _noised(place, numbers, error) if place.private else _exact(place, numbers)
        rows += [{**row, "group": group if query.by is not None else None} for row in told]
    return {**found, "rows": rows}


def step_of(place: Place) -> float:
    """Return what one step of a total by keys stands for."""
    return _key_scale(place) / place.unit


def _key_scale(place: Place) -> float:
    if place.query.measure != "sum":
        return 1.0
    if place.private:
        return scale_of(place.measured[0].bounds)
    return float(10.0 ** -place.decimals[0])


def _row(value: float | int | None, **facts: Any) -> Row:
    empty: Row = dict.fromkeys(("group", "cell", "quantile", "standard_error", "low", "high"))
    return {**empty, "value": value, "reason": "", **facts}


# --- exact -------------------------------------------------------------------------------------


def _exact(place: Place, numbers: Integers) -> Iterator[Row]:
    query = place.query
    found = [int(one) for one in numbers]
    if query.measure == "histogram":
        for at, count in enumerate(found):
            yield _row(count, cell=_cell(place, at))
    elif query.measure == "count":
        yield _row(found[0])
    elif query.measure == "sum":
        yield _decimal(found[1], place.decimals[0])
    elif found[0] == 0:
        yield from (_row(None, cell=cell, reason=TOO_FEW_ROWS) for cell in _pair_cells(place))
    elif query.measure == "mean":
        yield _row(_ratio(found[1], found[0] * 10 ** place.decimals[0]))
    else:
        yield from _exact_products(place, found)


def _decimal(steps: int, decimals: int) -> Row:
    """Return the row of a decimal number with all of its digits."""
    whole, rest = divmod(abs(steps), 10**decimals)
    digits = f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)
    exact = f"-{digits}" if steps < 0 else digits
    small = decimals == 0 and abs(steps) <= _WHOLE
    return _row(steps if small else _ratio(steps, 10**decimals), exact=exact)


def _ratio(over: int, under: int) -> float:
    return float(Fraction(over, under))


def _exact_products(place: Place, found: Sequence[int]) -> Iterator[Row]:
    query, columns = place.query, len(place.query.columns)
    rows, sums, parts = found[0], found[1 : 1 + columns], found[1 + columns :]
    pairs = pairs_of(query)
    spread = {
        pair: rows * (parts[2 * at] + (parts[2 * at + 1] << SPLIT)) - sums[pair[0]] * sums[pair[1]]
        for at, pair in enumerate(pairs)
    }  # n² times the covariance, in steps
    for i, j in pairs:
        cell = _pair_cell(place, i, j)
        if query.measure == "correlation":
            under = spread[i, i] * spread[j, j]
            if under <= 0:
                yield _row(None, cell=cell, reason=NO_SPREAD)
                continue
            value = 1.0 if i == j else spread[i, j] / math.sqrt(under)
            yield _row(min(max(value, -1.0), 1.0), cell=cell)
        else:
            under = rows**2 * 10 ** (place.decimals[i] + place.decimals[j])
            yield _row(_ratio(spread[i, j], under), cell=cell)


def _pair_cells(place: Place) -> list[str | None]:
    if place.query.measure not in TOGETHER:
        return [None]
    return [_pair_cell(place, i, j) for i, j in pairs_of(place.query)]


def _pair_cell(place: Place, i: int, j: int) -> str | None:
    if place.query.measure not in TOGETHER:
        return None
    return f"{place.query.columns[i]} × {place.query.columns[j]}"


def _cell(place: Place, at: int) -> str | list[float]:
    (measured,) = place.measured
    if measured.type == "category":
        return measured.categories[at]
    edges: list[float] = cell_edges(measured, place.each)[at : at + 2].tolist()
    return edges


# --- noised ------------------------------------------------------------------------------------


def _noised(place: Place, numbers: Integers, error: float) -> Iterator[Row]:
    query, found = place.query, numbers / place.unit
    if query.measure == "histogram":
        for at, value in enumerate(found.tolist()):
            yield _interval(value, error, (0.0, math.inf), cell=_cell(place, at))
    elif query.measure == "count":
        yield _interval(float(found[0]), error, (0.0, math.inf))
    elif query.measure == "sum":
        scale = scale_of(place.measured[0].bounds)
        yield _interval(float(found[0]) * scale, error * scale, _sum_range(place))
    elif found[0] <= (NORMAL if query.measure == "mean" else _CURVED) * error:
        yield from (_row(None, cell=cell, reason=TOO_FEW_ROWS) for cell in _pair_cells(place))
    elif query.measure == "mean":
        low, high = place.measured[0].bounds or (0.0, 0.0)
        yield _followed(place, found, error, _mean_of, (low, high), None)
    else:
        for i, j in pairs_of(query):
            yield _pair(place, found, error, i, j)


def _sum_range(place: Place) -> tuple[float, float]:
    low, high = place.measured[0].bounds or (0.0, 0.0)
    return (0.0 if low >= 0 else -math.inf, 0.0 if high <= 0 else math.inf)


def _mean_of(place: Place, found: Floats) -> float:
    middle, half = halves_of(place.measured[0].bounds)
    return middle + half * float(found[1] / found[0])


def _share_covariance(place: Place, found: Floats, i: int, j: int) -> float:
    """Return the covariance of two columns scaled to [−1, 1]."""
    rows, columns = float(found[0]), len(place.query.columns)
    at = pairs_of(place.query).index((i, j))
    product = float(found[1 + columns + at]) / rows
    if i == j:
        product = (product + 1) / 2
    return product - float(found[1 + i] * found[1 + j]) / rows**2


def _pair(place: Place, found: Floats, error: float, i: int, j: int) -> Row:
    cell = _pair_cell(place, i, j)
    half = halves_of(place.measured[i].bounds)[1] * halves_of(place.measured[j].bounds)[1]
    if place.query.measure != "correlation":

        def covariance(one: Place, numbers: Floats) -> float:
            return half * _share_covariance(one, numbers, i, j)

        within = (0.0, half) if i == j else (-half, half)
        return _followed(place, found, error, covariance, within, cell)
    if i == j:
        return _row(1.0, cell=cell, standard_error=0.0, low=1.0, high=1.0)
    if min(_share_covariance(place, found, one, one) for one in (i, j)) <= 0.0:
        return _row(None, cell=cell, reason=NO_SPREAD)

    def correlation(one: Place, numbers: Floats) -> float:
        spread = [max(_share_covariance(one, numbers, at, at), 1e-12) for at in (i, j)]
        return _share_covariance(one, numbers, i, j) / math.sqrt(spread[0] * spread[1])

    return _followed(place, found, error, correlation, (-1.0, 1.0), cell)


def _followed(
    place: Place,
    found: Floats,
    error: float,
    of: Callable[[Place, Floats], float],
    within: tuple[float, float],
    cell: str | None,
) -> Row:
    """Return what follows from several noised numbers, with its error as far as that is linear.

    All have independent noise of one size: the error is that times the length of the gradient,
    which is taken from differences a hundredth of the noise wide.
    """
    width = error / 100
    slopes = []
    for at in range(len(found)):
        moved = found.copy()
        moved[at] += width
        above = of(place, moved)
        moved[at] -= 2 * width
        slopes.append((above - of(place, moved)) / (2 * width))
    return _interval(of(place, found), error * math.hypot(*slopes), within, cell=cell)


def _interval(value: float, error: float, within: tuple[float, float], **facts: Any) -> Row:
    low, high = value - NORMAL * error, value + NORMAL * error
    value, low, high = (
        float(min(max(number, within[0]), within[1])) for number in (value, low, high)
    )
    return _row(value, standard_error=error, low=low, high=high, **facts)


# --- by keys -----------------------------------------------------------------------------------


def _of_all_keys(place: Place, own: Integers, error: float) -> Row:
    """Return what all keys together have."""
    total = _whole_sum(own)
    if place.private:
        scale = _key_scale(place)
        spread = error * math.sqrt(place.count) * scale
        return _interval(total / place.unit * scale, spread, (-math.inf, math.inf))
    decimals = place.decimals[0] if place.query.measure == "sum" else 0
    return _decimal(total, decimals)


def _whole_sum(own: Integers) -> int:
    """Return a sum of millions of int64 as one of Python's integers, which does not wrap."""
    mask = (1 << 32) - 1
    return (int((own >> 32).sum()) << 32) + int((own & mask).sum())
