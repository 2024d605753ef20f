"""What a table is like after each step of a preparation: its columns, their types and bounds.

Before rows were seen (`fit` is None) it is the widest that it can become: a column that `select`
may drop is there, bins that may coincide are counted, and bounds that follow from a fit are None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.bounds import MAX_BOUND, Bounds, bounds_problem
from secureflow.domain.specs.steps import (
    MAX_COLUMNS,
    MAX_NAME,
    Clip,
    DateParts,
    Drop,
    HashText,
    Impute,
    Interact,
    Log,
    MinMax,
    OneHot,
    Ordinal,
    QuantileBins,
    Select,
    Standardise,
    WidthBins,
    Woe,
    YeoJohnson,
)
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Numbers:
    """A number column; its bounds, None while they depend on a fit that is not known."""

    bounds: Bounds | None = None


@dataclass(frozen=True)
class Categories:
    """A category column, with its categories in order."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Texts:
    """A column of any texts."""


ColumnType = Numbers | Categories | Texts
Table = Mapping[str, ColumnType]
Fit = Mapping[str, Any]
"""What a step learned from rows: JSON, `columns`: {name: …} for steps that go column by column."""

_DIGITS: Final = ((1, 12), (1, 31), (0, 6), (1, 366), (0, 23), (0, 59))
_PARTS: Final = dict(
    zip(("month", "day", "weekday", "day_of_year", "hour", "minute"), _DIGITS, strict=True)
)
MAX_POWERED: Final = 1e12
"""Numbers beyond this have no sixth power worth computing with."""
_TYPES: Final = {
    Numbers: Text("numbers"), Categories: Text("categories"), Texts: Text("texts")
}  # fmt: skip
_EITHER: Final = Text("numbers or categories")
_FIELDS: Final = frozenset("YmdHMS")
"""What a format of dates may hold after %: the same in every locale."""


class StepProblem(Exception):  # noqa: N818 - it never leaves the domain's rules
    """A step that does not fit the table that it is given: field of the step, reason, hint."""

    def __init__(self, field: str, reason: str, hint: str) -> None:
        super().__init__(str(reason))
        self.field, self.reason, self.hint = field, reason, hint


def after(step: Any, table: Table, fit: Fit | None = None) -> dict[str, ColumnType]:
    """Return the table after a step.

    Args:
        step: one of `steps.CATALOGUE`.
        table: before it.
        fit: what it learned; None before it was fitted.

    Raises:
        StepProblem: the step does not fit the table.
    """
    missing = next((name for name in step.columns if name not in table), None)
    if missing is not None and fit is None:
        near = alike(missing, table)
        raise StepProblem(
            "columns",
            Text("there is no column {name!r} at this step", name=missing),
            Text("{near} may be meant.", near=some(near))
            if near
            else "Name a column that a step before it has not replaced or dropped.",
        )
    if len(set(step.columns)) != len(step.columns):
        raise StepProblem("columns", "one is listed twice", "List each once.")
    found = _limited(_RULES[step.step](step, table, fit))
    if fit is None:
        _refuse_narrow(found, table)
    return found


def tables(table: Table, steps: Sequence[Any], fits: Sequence[Fit | None]) -> list[Table]:
    """Return the table before each step, and the last one; a step without its fit is left out.

    Args:
        table: before the first step.
        steps: in order.
        fits: what each learned, None while it is not fitted.
    """
    found = [table]
    for step, fit in zip(steps, fits, strict=True):
        found.append(found[-1] if fit is None else after(step, found[-1], fit))
    return found


def _limited(found: dict[str, ColumnType]) -> dict[str, ColumnType]:
    if len(found) > MAX_COLUMNS:
        reason = Text("the table has more than {most} columns then", most=MAX_COLUMNS)
        hint = "Encode fewer categories, or take fewer columns."
        raise StepProblem("columns", reason, hint)
    long = next((name for name in found if len(name) > MAX_NAME), None)
    if long is not None:
        reason = Text("the name {name!r} would have more than {most} characters",
                      name=f"{long[:80]}…", most=MAX_NAME)  # fmt: skip
        raise StepProblem("columns", reason, "Make fewer products of products.")
    return found


def _refuse_narrow(found: Table, before: Table) -> None:
    """Refuse bounds that numbers cannot be scaled to (`domain.bounds`)."""
    for name, held in found.items():
        if isinstance(held, Numbers) and held.bounds is not None and held != before.get(name):
            problem = bounds_problem(held.bounds)
            if problem:
                reason = Text("of the bounds of {name!r} then: {problem}", name=name,
                              problem=problem)  # fmt: skip
                hint = "Choose another range, or clip the column first."
                raise StepProblem("columns", reason, hint)


def present(step: Any, table: Table) -> tuple[str, ...]:
    """Return the columns of a step that the table has: a selection may have dropped others."""
    return tuple(name for name in step.columns if name in table)


def _each(
    step: Any,
    table: Table,
    wanted: tuple[type[Any], ...],
    becomes: Callable[[str, Any], ColumnType],
) -> dict[str, ColumnType]:
    """Return the table with each of a step's columns replaced."""
    found = dict(table)
    for name in present(step, table):
        _expect(name, table[name], wanted)
        found[name] = becomes(name, table[name])
    return found


def _expect(name: str, held: ColumnType, wanted: tuple[type[Any], ...]) -> None:
    if not isinstance(held, wanted):
        raise StepProblem(
            "columns",
            Text(
                "{name!r} holds {held} at this step, and it takes {wanted}",
                name=name,
                held=_TYPES[type(held)],
                wanted=_TYPES[wanted[0]] if len(wanted) == 1 else _EITHER,
            ),
            "Choose columns of that type, or a step before it that makes them so.",
        )


def _of(fit: Fit | None, name: str) -> Mapping[str, Any] | None:
    return None if fit is None else fit["columns"].get(name)


def _impute(step: Impute, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    wanted: dict[str, tuple[type[Any], ...]] = {
        "mean": (Numbers,), "median": (Numbers,), "mode": (Categories,)
    }  # fmt: skip
    found = _each(
        step, table, wanted.get(step.by, (Numbers, Categories)), lambda name, held: _filled(
            step, name, held)
    )  # fmt: skip
    if (step.by == "constant") != (step.value is not None):
        reason = "`constant`, and nothing else, needs the value that cells are filled with"
        raise StepProblem("value", reason, "Give it there and nowhere else.")
    if step.indicator:
        marks = {f"{name}.missing": Numbers((0.0, 1.0)) for name in present(step, table)}
        return _added(found, marks)
    return found


def _filled(step: Impute, name: str, held: Any) -> ColumnType:
    value = step.value
    if value is None:
        return held  # type: ignore[no-any-return]
    if isinstance(held, Categories):
        if value not in held.names:
            reason = Text("{value!r} is none of the categories of {name!r}", value=value, name=name)
            raise StepProblem("value", reason, "Name one of the declared categories.")
        return held
    if isinstance(value, str):
        reason = Text("{name!r} holds numbers, and the value is a text", name=name)
        raise StepProblem("value", reason, "Give a number.")
    if held.bounds is None:
        return held  # type: ignore[no-any-return]
    return Numbers((min(held.bounds[0], value), max(held.bounds[1], value)))


def _clip(step: Clip, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    low = -math.inf if step.low is None else step.low
    high = math.inf if step.high is None else step.high
    if low >= high or (low == -math.inf and high == math.inf):
        reason = "it needs a lower bound, an upper one, or both, the lower one first"
        raise StepProblem("low", reason, "Give `low`, `high` or both.")

    def clipped(name: str, held: Numbers) -> Numbers:
        own = held.bounds or (-math.inf, math.inf)
        bounds = max(own[0], low), min(own[1], high)
        if fit is None and bounds[0] >= bounds[1]:
            reason = Text("nothing of the bounds of {name!r} is left", name=name)
            raise StepProblem("low", reason, "Choose a range within the declared bounds.")
        if not all(map(math.isfinite, bounds)):
            return Numbers()
        if fit is not None and bounds_problem(bounds):
            # What was fitted lies beyond the range, of which no row could know.
            both = step.low is not None and step.high is not None
            return Numbers((low, high) if both else _hull(min(max(e, low), high) for e in own))
        return Numbers(bounds)

    return _each(step, table, (Numbers,), clipped)


def _standardise(step: Standardise, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    def scaled(name: str, held: Numbers) -> Numbers:
        one = _of(fit, name)
        if one is None or held.bounds is None:
            return Numbers()
        return Numbers(_hull((edge - one["mean"]) / one["std"] for edge in held.bounds))

    return _each(step, table, (Numbers,), scaled)


def _min_max(step: MinMax, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    if step.low >= step.high:
        raise StepProblem("low", "the lower end is not below the upper", "Exchange them.")
    if step.of == "bounds":
        _bounded(step, table)
    return _each(step, table, (Numbers,), lambda _n, _h: Numbers((step.low, step.high)))


def _bounded(step: Any, table: Table) -> None:
    for name in present(step, table):
        held = table[name]
        if isinstance(held, Numbers) and held.bounds is None:
            reason = Text("the bounds of {name!r} follow from rows at this step", name=name)
            hint = "Do it before the steps that are fitted, or clip the column first."
            raise StepProblem("columns", reason, hint)


def _bins(
    step: QuantileBins | WidthBins, table: Table, fit: Fit | None
) -> dict[str, ColumnType]:  # fmt: skip
    def cut(name: str, held: Numbers) -> Categories:
        del held
        one = _of(fit, name)
        count = step.bins if one is None else len(one["edges"]) + 1
        return Categories(tuple(str(at) for at in range(1, count + 1)))

    return _each(step, table, (Numbers,), cut)


def _width_bins(step: WidthBins, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    _bounded(step, table)
    return _bins(step, table, None)


def _woe(step: Woe, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    def weighed(name: str, held: Categories) -> Numbers:
        del held
        one = _of(fit, name)
        return Numbers() if one is None else Numbers(_hull(one["woe"]))

    return _each(step, table, (Categories,), weighed)


def _hull(values: Iterable[float]) -> Bounds:
    """Return the range of values within ±`MAX_BOUND`, widened where it has hardly any width."""
    listed = [min(max(value, -MAX_BOUND), MAX_BOUND) for value in values]
    low, high = min(listed), max(listed)
    if not bounds_problem((low, high)):
        return low, high
    more = max(1.0, 1e-6 * abs(low), 1e-6 * abs(high))
    return max(low - more, -MAX_BOUND), min(high + more, MAX_BOUND)


def _one_hot(step: OneHot, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    found: dict[str, ColumnType] = {}
    for name, held in table.items():
        if name not in step.columns:
            found[name] = held
            continue
        _expect(name, held, (Categories,))
        for column in one_hot_names(step, name, held.names, fit):  # type: ignore[union-attr]
            if column in table or column in found:
                raise _twice(column)
            found[column] = Numbers((0.0, 1.0))
        _limited(found)
    return found


def one_hot_names(
    step: OneHot, name: str, categories: tuple[str, ...], fit: Fit | None
) -> tuple[str, ...]:
    """Return the columns that a category column becomes, in order."""
    one = _of(fit, name)
    kept = categories if one is None else tuple(categories[at] for at in one["kept"])
    other = (f"{name}.other",) if step.least and (one is None or one["merged"]) else ()
    missing = (f"{name}.missing",) if step.missing == "indicator" else ()
    return (*(f"{name}={category}" for category in kept), *other, *missing)


def _twice(column: str) -> StepProblem:
    reason = Text("there would be two columns {column!r}", column=column)
    return StepProblem("columns", reason, "Leave one of them out.")


def _added(table: dict[str, ColumnType], more: Table) -> dict[str, ColumnType]:
    for column in more:
        if column in table:
            raise _twice(column)
    return {**table, **more}


def _ordinal(step: Ordinal, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit

    def placed(_name: str, held: Categories) -> Numbers:
        return Numbers((0.0, float(max(len(held.names) - 1, 1))))

    return _each(step, table, (Categories,), placed)


def _hash(step: HashText, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    buckets = Categories(tuple(str(at) for at in range(step.buckets)))
    return _each(step, table, (Texts,), lambda _n, _h: buckets)


def _log(step: Log, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    _bounded(step, table)

    def logged(name: str, held: Numbers) -> Numbers:
        low, high = held.bounds or (0.0, 0.0)
        if low + step.shift <= 0:
            reason = Text("{name!r} may be {low:g}, of which there is no logarithm",
                          name=name, low=low + step.shift)  # fmt: skip
            raise StepProblem("shift", reason, "Use a larger shift, or clip the column first.")
        return Numbers((math.log(low + step.shift), math.log(high + step.shift)))

    return _each(step, table, (Numbers,), logged)


def _yeo_johnson(step: YeoJohnson, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    _bounded(step, table)

    def powered(name: str, held: Numbers) -> Numbers:
        one = _of(fit, name)
        if held.bounds is not None and max(map(abs, held.bounds)) > MAX_POWERED:
            reason = Text("the bounds of {name!r} are beyond ±{most:g}", name=name,
                          most=MAX_POWERED)  # fmt: skip
            raise StepProblem("columns", reason, "Take logarithms first, or declare its unit.")
        if one is None or held.bounds is None:
            return Numbers()
        return Numbers(_hull(yeo_johnson(edge, one["lambda"]) for edge in held.bounds))

    return _each(step, table, (Numbers,), powered)


def yeo_johnson(x: float, power: float) -> float:
    """Return ψ(λ, x) of Yeo and Johnson 2000, equation 2.1."""
    if x < 0:
        return -yeo_johnson(-x, 2 - power)
    return math.log1p(x) if power == 0 else math.expm1(power * math.log1p(x)) / power


def _date_parts(step: DateParts, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    if step.years[0] >= step.years[1]:
        raise StepProblem("years", "the first year is not before the last", "Exchange them.")
    if len(set(step.parts)) != len(step.parts):
        raise StepProblem("parts", "one is listed twice", "List each once.")
    for form in step.formats:
        used = re.findall("%(.?)", form, re.DOTALL)
        if not set(used) <= _FIELDS or "Y" not in used or len(set(used)) < len(used):
            reason = Text("{form!r} is no format that is read alike everywhere", form=form)
            hint = "Use %Y and, as needed, %m %d %H %M %S, each once."
            raise StepProblem("formats", reason, hint)
    found: dict[str, ColumnType] = {}
    for name, held in table.items():
        if name not in step.columns:
            found[name] = held
            continue
        _expect(name, held, (Texts,))
        for part in step.parts:
            low, high = step.years if part == "year" else _PARTS[part]
            if f"{name}.{part}" in table:
                raise _twice(f"{name}.{part}")
            found[f"{name}.{part}"] = Numbers((float(low), float(high)))
    return found


def _interact(step: Interact, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    names, found = present(step, table), dict(table)
    for name in names:
        _expect(name, table[name], (Numbers,))
    for at, a in enumerate(names):
        for b in names[at + 1 :]:
            bounds = _product(table[a], table[b], wide=fit is None)
            found = _added(found, {f"{a}*{b}": Numbers(bounds)})
        _limited(found)
    return found


def _product(a: Any, b: Any, *, wide: bool) -> Bounds | None:
    """Return the bounds of a product; `wide` leaves those that are refused as they are."""
    if a.bounds is None or b.bounds is None:
        return None
    each = [x * y for x in a.bounds for y in b.bounds]
    return (min(each), max(each)) if wide else _hull(each)


def _select(step: Select, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    for name in present(step, table):
        _expect(name, table[name], (Numbers,))
    if step.by == "correlation" and step.threshold > 1:
        raise StepProblem("threshold", "a correlation is at most 1", "Choose one below that.")
    if fit is None:
        return dict(table)
    dropped = set(step.columns) - set(fit["kept"])
    return {name: held for name, held in table.items() if name not in dropped}


def _drop(step: Drop, table: Table, fit: Fit | None) -> dict[str, ColumnType]:
    del fit
    return {name: held for name, held in table.items() if name not in step.columns}


_RULES: Final[Mapping[str, Callable[[Any, Table, Fit | None], dict[str, ColumnType]]]] = {
    "impute": _impute,
    "clip": _clip,
    "standardise": _standardise,
    "min_max": _min_max,
    "quantile_bins": _bins,
    "width_bins": _width_bins,
    "woe": _woe,
    "one_hot": _one_hot,
    "ordinal": _ordinal,
    "hash": _hash,
    "log": _log,
    "yeo_johnson": _yeo_johnson,
    "date_parts": _date_parts,
    "interact": _interact,
    "select": _select,
    "drop": _drop,
}

__all__ = [
    "Categories",
    "ColumnType",
    "Fit",
    "Numbers",
    "StepProblem",
    "Table",
    "Texts",
    "after",
    "one_hot_names",
    "present",
    "tables",
    "yeo_johnson",
]
