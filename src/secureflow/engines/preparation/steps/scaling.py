"""Numbers to numbers: clipping, standardising, ranges, logarithms and powers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.passes import POWERS
from secureflow.domain.specs.steps import Clip, Log, MinMax
from secureflow.domain.specs.tables import present, yeo_johnson
from secureflow.engines.preparation.steps.searching import (
    found_quantiles,
    search_learn,
    search_tally,
)
from secureflow.engines.preparation.steps.step import (
    FULL,
    Learning,
    Rows,
    State,
    StepEngine,
    Sums,
    Tally,
    bounds_of,
    moment_tally,
    moments,
)
from secureflow.engines.preparation.steps.values import Numbers64

Fitted = Mapping[str, Any]

_ENDS: Final = (0.0, 1.0)
_LEAST_POWER: Final = -4.0
_MOST_POWER: Final = 6.0
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
    mean, variance, _ = moments(totals, bounds_of(about.table, name))
    return {"mean": mean, "std": math.sqrt(variance) or 1.0}


def _mapped(step: MinMax, rows: Rows, name: str, values: Numbers64, one: Any) -> Numbers64:
    low, high = rows.bounds(name) if one is None else (one["low"], one["high"])
    share = (values - low) / ((high - low) or 1.0)
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


def _grid(state: State) -> Numbers64:
    low, high = state.get("between", (_LEAST_POWER, _MOST_POWER))
    return np.linspace(low, high, POWERS)


def _power_tally(step: Any, number: int, state: State, rows: Rows, name: str) -> Tally:
    del step, number
    values, bounds = rows.numbers(name), rows.bounds(name)
    found = np.empty((len(values), 2 * POWERS + 2))
    for at, power in enumerate(_grid(state).tolist()):
        low, high = (yeo_johnson(edge, power) for edge in bounds)
        scaled = (_psi(values, power) - (low + high) / 2) / ((high - low) / 2)
        scaled = np.clip(scaled, -1.0, 1.0)
        found[:, at], found[:, POWERS + at] = scaled, 2 * scaled**2 - 1
    found[:, _COUNT] = np.where(np.isnan(values), 0.0, 1.0)
    found[:, _COUNT + 1] = np.sign(values) * np.log1p(np.abs(values)) / _longest(bounds)
    return Sums(found)


def _longest(bounds: tuple[float, float]) -> float:
    return math.log1p(max(map(abs, bounds)))


def _power_learn(
    about: Learning, number: int, state: State, totals: Numbers64, name: str
) -> dict[str, Any]:
    """Return the two neighbours of the λ of the largest likelihood (equation 3.1), or that λ."""
    del number
    bounds, powers = bounds_of(about.table, name), _grid(state)
    count = float(totals[_COUNT])
    if count < 2:
        return {"lambda": 1.0} if about.last else {"between": [1.0, 1.0]}
    jacobian = float(totals[_COUNT + 1]) * _longest(bounds)
    likelihood = np.empty(POWERS)
    for at, power in enumerate(powers.tolist()):
        low, high = (yeo_johnson(edge, power) for edge in bounds)
        mean = float(totals[at]) / count
        variance = max((float(totals[POWERS + at]) / count + 1) / 2 - mean**2, FULL)
        spread = math.log(variance) + 2 * math.log((high - low) / 2)
        likelihood[at] = -count / 2 * spread + (power - 1) * jacobian
    best = int(np.argmax(likelihood))
    if about.last:
        return {"lambda": float(powers[best])}
    ends = powers[max(best - 1, 0)], powers[min(best + 1, POWERS - 1)]
    return {"between": [float(one) for one in ends]}


CLIP: Final = StepEngine(_each(_clipped))
STANDARDISE: Final = StepEngine(_each(_standardised), _standardise_tally, _standardise_learn)
MIN_MAX: Final = StepEngine(_each(_mapped), _ends_tally, _ends_learn)
LOG: Final = StepEngine(_each(_logged))
YEO_JOHNSON: Final = StepEngine(_each(_powered), _power_tally, _power_learn)
