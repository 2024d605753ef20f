"""Numbers to numbers: clipping, standardising, ranges, logarithms and powers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.passes import LEAST_POWER, MOST_POWER, POWERS
from secureflow.domain.specs.steps import Clip, Log, MinMax
from secureflow.domain.specs.tables import present, yeo_johnson
from secureflow.engines.preparation.steps.searching import (
    found_quantiles,
    search_learn,
    search_tally,
)
from secureflow.engines.preparation.steps.step import (
    Learning,
    Rows,
    State,
    StepEngine,
    Sums,
    Tally,
    bounds_of,
    moment_tally,
    moments,
    unresolved,
)
from secureflow.engines.preparation.steps.values import Numbers64

Fitted = Mapping[str, Any]

_ENDS: Final = (0.0, 1.0)
_COUNT: Final = 2 * POWERS
"""The slot of the number of rows in a search for powers; ψ, 2ψ² − 1 and the logarithms before."""


def _each(
    change: Callable[[Any, Rows, str, Numbers64, Any], Numbers64],
) -> Callable[[Any, Rows, Fitted, bool], dict[str, NDArray[Any]]]:
    """Return an `apply` that changes each column by itself."""

    def apply(step: Any, rows: Rows, fit: Fitted, strict: bool) -> dict[str, NDArray[Any]]:
        del strict
        return {
            name: change(step, rows, name, rows.numbers(name), fit["columns"].get(name))
            for name in present(step, rows.table)
        }

    return apply


def _clipped(step: Clip, rows: Rows, name: str, values: Numbers64, one: Any) -> Numbers64:
    del rows, name, one
    return np.clip(values, step.low, step.high)


def _standardised(step: Any, rows: Rows, name: str, values: Numbers64, one: Any) -> Numbers64:
    del step, rows, name
    return np.asarray((values - one["mean"]) / one["std"])


def _standardise_tally(step: Any, number: int, state: State, rows: Rows, name: str) -> Tally:
    del step, number, state
    return moment_tally(rows, name)


def _standardise_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    del number, state
    low, high = bounds_of(about.table, name)
    mean, variance, _ = moments(totals, (low, high), about.off)
    return {"mean": mean, "std": math.sqrt(variance) or (high - low) / 2}


def _mapped(step: MinMax, rows: Rows, name: str, values: Numbers64, one: Any) -> Numbers64:
    low, high = rows.bounds(name) if one is None else (one["low"], one["high"])
    # Rows that no search can tell apart are one number: the smallest.
    share = (values - low) / (high - low) if high > low else np.where(np.isnan(values), values, 0.0)
    return np.clip(step.low + share * (step.high - step.low), step.low, step.high)


def _ends_tally(step: Any, number: int, state: State, rows: Rows, name: str) -> Tally:
    del step
    return search_tally(number, state, rows.numbers(name), rows.bounds(name))


def _ends_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    bounds = bounds_of(about.table, name)
    found = search_learn(number, state, totals, bounds, _ENDS)
    if not about.last:
        return found
    low, high = found_quantiles(found, bounds, _ENDS)
    return {"low": low, "high": high}


def _logged(step: Log, rows: Rows, name: str, values: Numbers64, one: Any) -> Numbers64:
    del rows, name, one
    return np.log(values + step.shift)


def _powered(step: Any, rows: Rows, name: str, values: Numbers64, one: Any) -> Numbers64:
    del step, rows, name
    return _psi(values, one["lambda"])


def _psi(values: Numbers64, power: float) -> Numbers64:
    """Return ψ(λ, x) of Yeo and Johnson 2000, equation 2.1, NaN for NaN."""
    found = values.astype(np.float64)
    up = values >= 0
    more, less = np.log1p(values[up]), np.log1p(-values[values < 0])
    found[up] = more if power == 0 else np.expm1(power * more) / power
    rest = 2.0 - power
    found[values < 0] = -less if rest == 0 else -np.expm1(rest * less) / rest
    return found


def _share(values: Numbers64, bounds: Bounds, power: float) -> Numbers64:
    """Return (ψ(x) − ψ(low)) / (ψ(high) − ψ(low)), by logarithms: at λ < 0 large numbers have ψ
    that hardly differ.
    """
    low, high = bounds
    if high <= 0:
        return 1 - _share(-values, (-high, -low), 2 - power)
    if low < 0:
        first, last = (yeo_johnson(edge, power) for edge in bounds)
        return (_psi(values, power) - first) / (last - first)
    above, most = np.log1p((values - low) / (1 + low)), _log_ratio(bounds)
    return np.asarray(
        above / most if power == 0 else np.expm1(power * above) / math.expm1(power * most)
    )


def _log_ratio(bounds: Bounds) -> float:
    low, high = bounds
    return math.log1p((high - low) / (1 + low))


def _log_width(bounds: Bounds, power: float) -> float:
    """Return ln(ψ(high) − ψ(low))."""
    low, high = bounds
    if high <= 0:
        return _log_width((-high, -low), 2 - power)
    if low < 0:
        return math.log(yeo_johnson(high, power) - yeo_johnson(low, power))
    most = _log_ratio(bounds)
    rise = most if power == 0 else math.expm1(power * most) / power
    return power * math.log1p(low) + math.log(rise)


def _grid(state: State) -> Numbers64:
    low, high = state.get("between", (LEAST_POWER, MOST_POWER))
    return np.linspace(low, high, POWERS)


def _power_tally(step: Any, number: int, state: State, rows: Rows, name: str) -> Tally:
    del step, number
    values, bounds = rows.numbers(name), rows.bounds(name)
    found = np.empty((len(values), 2 * POWERS + 2))
    for at, power in enumerate(_grid(state).tolist()):
        scaled = np.clip(2 * _share(values, bounds, power) - 1, -1.0, 1.0)
        found[:, at], found[:, POWERS + at] = scaled, 2 * scaled**2 - 1
    found[:, _COUNT] = np.where(np.isnan(values), 0.0, 1.0)
    found[:, _COUNT + 1] = np.sign(values) * np.log1p(np.abs(values)) / _longest(bounds)
    return Sums(found)


def _longest(bounds: Bounds) -> float:
    return math.log1p(max(map(abs, bounds)))


def _power_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    """Return the two neighbours of the λ of the largest likelihood (equation 3.1), or that λ.

    A column that is constant, or has no rows, keeps λ = 1.
    """
    del number
    bounds, powers = bounds_of(about.table, name), _grid(state)
    count = max(float(totals[_COUNT]), 1.0)
    means, squares = totals[:POWERS] / count, (totals[POWERS:_COUNT] / count + 1) / 2
    variances, least = squares - means**2, unresolved(count, about.off)
    if count < 2 or np.all(variances <= least):
        return {"lambda": 1.0} if about.last else {"between": [1.0, 1.0]}
    widths = np.array([_log_width(bounds, power) for power in powers.tolist()])
    spread = np.log(np.maximum(variances, least)) + 2 * (widths - math.log(2))
    jacobian = float(totals[_COUNT + 1]) * _longest(bounds)
    best = int(np.argmax(-count / 2 * spread + (powers - 1) * jacobian))
    if about.last:
        return {"lambda": float(powers[best])}
    ends = powers[max(best - 1, 0)], powers[min(best + 1, POWERS - 1)]
    return {"between": [float(one) for one in ends]}


CLIP: Final = StepEngine(_each(_clipped))
STANDARDISE: Final = StepEngine(_each(_standardised), _standardise_tally, _standardise_learn)
MIN_MAX: Final = StepEngine(_each(_mapped), _ends_tally, _ends_learn)
LOG: Final = StepEngine(_each(_logged))
YEO_JOHNSON: Final = StepEngine(_each(_powered), _power_tally, _power_learn)
