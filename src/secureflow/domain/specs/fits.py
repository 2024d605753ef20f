"""What each step may have learned: the form of its fit, and what follows from its step and table.

A recipe comes from outside. Who applies it relies on its fits: on numbers within the bounds that
the table says, on as many edges as there are bins, on nothing beside what the step learns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from secureflow.domain.bounds import Bounds
from secureflow.domain.specs.passes import LEAST_POWER, MOST_POWER
from secureflow.domain.specs.selection import chosen
from secureflow.domain.specs.steps import Select
from secureflow.domain.specs.tables import Categories, ColumnType, Numbers, Table, present

_SLACK: Final = 1e-9
"""Rounding by which a number may lie beyond its bounds, relative to their width."""
_ULPS: Final = 4e-16
"""The same, relative to the larger of them."""
_LEAST_DEVIATION: Final = 1e-6
"""Of a column that is not constant, relative to the half-range (`FULL` of `moments`, its root)."""

_Check = Callable[[Any, ColumnType, Mapping[str, Any]], None]


class FitProblem(Exception):  # noqa: N818 - it never leaves the domain's rules
    """A fit that is not one of its step."""


def check_fit(step: Any, table: Table, fit: Any, evidence: Mapping[str, float]) -> None:
    """Refuse a fit that the step cannot have learned over this table.

    Args:
        step: the step.
        table: before it.
        fit: what it is said to have learned.
        evidence: the information value of each column that a step before it encoded.

    Raises:
        FitProblem: it cannot.
    """
    form = _FORMS.get(step.step)
    names = present(step, table)
    members = {"columns", "kept", "values"} if step.step == "select" else {"columns"}
    _require(isinstance(fit, Mapping) and set(fit) == members and isinstance(fit["columns"], dict))
    if form is None or (step.step == "min_max" and step.of == "bounds"):
        _require(not fit["columns"])
    else:
        wanted, check = form
        _require(set(fit["columns"]) == set(names))
        for name, one in fit["columns"].items():
            _require(isinstance(one, dict) and set(one) == wanted)
            check(step, table[name], one)
    if step.step == "select":
        _selected(step, names, fit)
        _require(step.by != "iv" or fit["values"] == {name: evidence.get(name) for name in names})


def _require(holds: bool) -> None:
    if not holds:
        raise FitProblem


def _number(value: Any) -> float:
    """Return a finite number that float64 holds."""
    _require(isinstance(value, int | float) and not isinstance(value, bool))
    try:
        found = float(value)
    except OverflowError:
        raise FitProblem from None
    _require(math.isfinite(found))
    return found


def _bounds(held: ColumnType) -> Bounds:
    if not isinstance(held, Numbers) or held.bounds is None:
        raise FitProblem
    return held.bounds


def _categories(held: ColumnType) -> tuple[str, ...]:
    if not isinstance(held, Categories):
        raise FitProblem
    return held.names


def _within(value: Any, held: ColumnType) -> float:
    """Return a number within the bounds of its column, but for rounding."""
    low, high = _bounds(held)
    found, slack = _number(value), _slack(held)
    _require(low - slack <= found <= high + slack)
    return found


def _slack(held: ColumnType) -> float:
    low, high = _bounds(held)
    return _SLACK * (high - low) + _ULPS * max(abs(low), abs(high))


def _impute(step: Any, held: ColumnType, one: Mapping[str, Any]) -> None:
    value = one["value"]
    if step.by == "constant":
        _require(type(value) is not bool and value == step.value)
    elif isinstance(held, Categories):
        _require(value in held.names)
    else:
        _within(value, held)


def _standardise(_step: Any, held: ColumnType, one: Mapping[str, Any]) -> None:
    low, high = _bounds(held)
    half = (high - low) / 2
    _within(one["mean"], held)
    least, most = half * _LEAST_DEVIATION * (1 - _SLACK), half * (1 + _SLACK)
    _require(least <= _number(one["std"]) <= most)


def _min_max(_step: Any, held: ColumnType, one: Mapping[str, Any]) -> None:
    _require(_within(one["low"], held) <= _within(one["high"], held))


def _edges(step: Any, held: ColumnType, one: Mapping[str, Any]) -> None:
    edges = one["edges"]
    _require(isinstance(edges, list) and len(edges) < step.bins)
    found = [_within(edge, held) for edge in edges]
    _require(found == sorted(set(found)))
    if step.step == "width_bins":
        low, high = _bounds(held)
        wide, slack = (high - low) / step.bins, _slack(held)
        _require(len(found) == step.bins - 1)
        _require(all(abs(low + wide * at - one) <= slack for at, one in enumerate(found, 1)))


def _woe(_step: Any, held: ColumnType, one: Mapping[str, Any]) -> None:
    weights = one["woe"]
    _require(isinstance(weights, list) and len(weights) == len(_categories(held)) + 1)
    for weight in (*weights, one["iv"]):
        _number(weight)


def _one_hot(step: Any, held: ColumnType, one: Mapping[str, Any]) -> None:
    kept, names = one["kept"], _categories(held)
    _require(isinstance(kept, list) and all(type(at) is int for at in kept))
    _require(kept == sorted(set(kept)) and all(0 <= at < len(names) for at in kept))
    _require(one["merged"] is (len(kept) < len(names)))
    _require(bool(step.least) or not one["merged"])


def _yeo_johnson(_step: Any, _held: ColumnType, one: Mapping[str, Any]) -> None:
    _require(LEAST_POWER <= _number(one["lambda"]) <= MOST_POWER)


def _selected(step: Select, names: tuple[str, ...], fit: Mapping[str, Any]) -> None:
    """Check what columns were chosen by, and that those that stay are the ones that follow."""
    values = fit["values"]
    _require(isinstance(values, dict) and set(values) == set(names))
    for name, value in values.items():
        if step.by == "correlation":
            _require(isinstance(value, dict) and len(value) <= 1)
            _require(all(0 <= _number(one) <= 1 for one in value.values()))
            _require(set(value) <= set(names) - {name})
        else:
            _number(value)
    _require(fit["kept"] == chosen(step, {name: values[name] for name in names}))


_FORMS: Final[Mapping[str, tuple[frozenset[str], _Check]]] = {
    "impute": (frozenset({"value"}), _impute),
    "standardise": (frozenset({"mean", "std"}), _standardise),
    "min_max": (frozenset({"low", "high"}), _min_max),
    "quantile_bins": (frozenset({"edges"}), _edges),
    "width_bins": (frozenset({"edges"}), _edges),
    "woe": (frozenset({"woe", "iv"}), _woe),
    "one_hot": (frozenset({"kept", "merged"}), _one_hot),
    "yeo_johnson": (frozenset({"lambda"}), _yeo_johnson),
}
"""The members of a column's fit, and what they must be."""
