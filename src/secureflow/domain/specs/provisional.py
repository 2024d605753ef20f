"""What stands in a spec for what another job has not given yet, so that the spec can be checked.

A step of a pipeline is a whole spec, which people approve before anything runs: where a model or a
recipe comes over an edge it holds one that is *provisional*. Its columns, families and widths are
those that are to come, its numbers say nothing. `provisional_recipe` makes a recipe whose fits are
ones that its steps could have learned, at its widest: no column that may be dropped is missing.
"""

from __future__ import annotations

from typing import Any, Final

from secureflow.domain.specs.notyet import NO_DIGEST, NOT_YET
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.recipe import Recipe, outputs_of
from secureflow.domain.specs.selection import chosen
from secureflow.domain.specs.tables import Categories, ColumnType, Numbers, Table, after, present


def provisional_recipe(spec: PreparationSpec) -> Recipe:
    """Return what a preparation may fit, without a row: for checking, never for computing.

    Raises:
        StepProblem: a step does not fit the columns.
    """
    table: Table = spec.table
    evidence: dict[str, float] = {}
    fits: list[dict[str, Any]] = []
    for step in spec.steps:
        fit = _fit(step, table, evidence)
        fits.append(fit)
        table = after(step, table, fit)
    return Recipe(
        job=NOT_YET,
        spec=NO_DIGEST,
        columns=spec.columns,
        steps=spec.steps,
        fits=tuple(fits),
        outputs=outputs_of(table),
        label=spec.label,
        rows=None,
        private=spec.privacy is not None,
    )


def _fit(step: Any, table: Table, evidence: dict[str, float]) -> dict[str, Any]:
    if step.step == "select":
        return _selection(step, table, evidence)
    learns = step.step in _LEARNED and not (step.step == "min_max" and step.of == "bounds")
    if not learns:
        return {"columns": {}}
    columns = {name: _LEARNED[step.step](step, table[name]) for name in present(step, table)}
    if step.step == "woe":
        evidence |= {name: one["iv"] for name, one in columns.items()}
    return {"columns": columns}


def _selection(step: Any, table: Table, evidence: dict[str, float]) -> dict[str, Any]:
    names = present(step, table)
    values: dict[str, Any] = {
        "iv": {name: evidence.get(name) for name in names},
        "variance": dict.fromkeys(names, step.threshold + 1.0),
        "correlation": {name: {} for name in names},
    }[step.by]
    return {"columns": {}, "kept": chosen(step, values), "values": values}


def _edges_of(held: ColumnType) -> tuple[float, float]:
    bounds = held.bounds if isinstance(held, Numbers) else None
    return bounds or (-1.0, 1.0)


def _impute(step: Any, held: ColumnType) -> dict[str, Any]:
    if step.by == "constant":
        return {"value": step.value}
    if isinstance(held, Categories):
        return {"value": held.names[0]}
    return {"value": sum(_edges_of(held)) / 2}


def _standardise(_step: Any, held: ColumnType) -> dict[str, Any]:
    low, high = _edges_of(held)
    return {"mean": (low + high) / 2, "std": (high - low) / 4}


def _min_max(_step: Any, held: ColumnType) -> dict[str, Any]:
    low, high = _edges_of(held)
    return {"low": low, "high": high}


def _bins(step: Any, held: ColumnType) -> dict[str, Any]:
    low, high = _edges_of(held)
    wide = (high - low) / step.bins
    return {"edges": [low + wide * at for at in range(1, step.bins)]}


def _woe(_step: Any, held: ColumnType) -> dict[str, Any]:
    count = len(held.names) if isinstance(held, Categories) else 0
    return {"woe": [0.5] * (count + 1), "iv": _ENOUGH}


def _one_hot(step: Any, held: ColumnType) -> dict[str, Any]:
    """Keep every category: `NAME.other` comes only in the place of others."""
    del step
    count = len(held.names) if isinstance(held, Categories) else 0
    return {"kept": list(range(count)), "merged": False}


def _yeo_johnson(_step: Any, _held: ColumnType) -> dict[str, Any]:
    return {"lambda": 1.0}


_ENOUGH: Final = 1e6
"""An information value that no threshold drops."""
_LEARNED: Final = {
    "impute": _impute,
    "standardise": _standardise,
    "min_max": _min_max,
    "quantile_bins": _bins,
    "width_bins": _bins,
    "woe": _woe,
    "one_hot": _one_hot,
    "yeo_johnson": _yeo_johnson,
}
