"""Rows as people have them, brought to the columns that preparation reads.

What is accepted, and what counts as missing: `prediction`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.training import FeatureSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.tensorrows import Tensor, named_rows, tensor_cells, tensor_features

_NEITHER: Final = (complex, np.complexfloating, np.datetime64, np.timedelta64)
"""NumPy silently turns these into numbers; no agent trained on them."""


def input_columns(features: FeatureSpec, rows: Any) -> dict[str, NDArray[Any]]:
    """Return the columns of rows that a model reads, as agents read them; before any recipe.

    Raises:
        SecureFlowError: `invalid_rows`, `malformed_cell`.
    """
    tensors = tensor_features(features)
    named = _with_names(features, named_rows(features, as_known(rows)))
    columns = columns_of(named, features.inputs, tensors)
    categories = {feature.column for feature in features.categorical}
    recipe = features.recipe
    if recipe is not None:
        categories |= {one.column for one in recipe.columns if one.type != "number"}
        for name in _dated(recipe) & set(columns):
            columns[name] = _times(columns[name])
    for name in categories & set(columns):
        columns[name] = texts_of(columns[name])
    return columns


def _with_names(features: FeatureSpec, rows: Any) -> Any:
    """Return an array of numbers as columns; other rows as they are."""
    if not isinstance(rows, np.ndarray) or rows.ndim != 2:
        return rows
    names = features.inputs
    if (
        features.categorical
        or _not_numbers(features.recipe)
        or features.beside
        or rows.shape[1] != len(names)
        or rows.dtype.kind not in "fiub"
    ):
        raise _invalid_rows(
            Text(
                "an array must hold the numbers of {count} numeric features, in order, and "
                "the model have no categories",
                count=len(names),
            )
        )
    return {name: np.asarray(rows[:, at], np.float64) for at, name in enumerate(names)}


def _not_numbers(recipe: Recipe | None) -> bool:
    return recipe is not None and any(one.type != "number" for one in recipe.columns)


def _dated(recipe: Recipe) -> set[str]:
    """Return the columns that a recipe splits into numbers of dates."""
    return {name for one in recipe.steps if one.step == "date_parts" for name in one.columns}


def _times(cells: NDArray[Any]) -> NDArray[Any]:
    """Return times without a zone as agents read those of a Parquet file; other cells as are."""
    found = np.empty(len(cells), dtype=object)
    found[:] = [
        value.isoformat(" ") if isinstance(value, datetime) and value.tzinfo is None else value
        for value in cells.tolist()
    ]
    return found


def as_known(rows: Any) -> Any:
    """Return rows of another library (Polars, DuckDB, …) as a `pyarrow.Table`; others as they are.

    Such a library offers Arrow's PyCapsule interface.
    """
    known = isinstance(rows, Mapping) or hasattr(rows, "iloc") or hasattr(rows, "column_names")
    if known or not hasattr(rows, "__arrow_c_stream__"):
        return rows
    import pyarrow as pa  # only other libraries' tables need it

    return pa.table(rows)


def columns_of(
    rows: Any, wanted: Iterable[str], tensors: Mapping[str, Tensor] = MappingProxyType({})
) -> dict[str, NDArray[Any]]:
    """Bring any accepted form of rows to the columns that preparation reads."""

    def made(name: str, values: Any) -> NDArray[Any]:
        if name not in tensors:
            return _cells(name, values)
        numbers = isinstance(values, np.ndarray) and values.dtype.kind in "fiub"
        return tensor_cells(tensors[name], values if numbers else _listed(name, values))

    if isinstance(rows, Mapping):
        return {name: made(name, rows[name]) for name in wanted if name in rows}
    arrow = hasattr(rows, "column_names")  # else a pandas frame, or records
    if arrow or hasattr(rows, "columns"):
        names = list(rows.column_names if arrow else rows.columns)
        present = [name for name in wanted if name in names]
        for name in present:
            if names.count(name) > 1:
                raise _invalid_rows(Text("they have two columns {name!r}", name=name))
        return {n: made(n, rows[n].to_pylist() if arrow else rows[n]) for n in present}
    try:
        records = list(iter(rows))
    except TypeError:
        raise _invalid_rows("they are a single value") from None
    if not all(isinstance(record, Mapping) for record in records):
        raise _invalid_rows("they are neither columns, nor a table, nor dicts")
    # A dict without a key has a missing value there, unless all of them lack it.
    return {
        name: made(name, [record.get(name) for record in records])
        for name in wanted
        if not records or any(name in record for record in records)
    }


def _listed(name: str, values: Any) -> list[Any]:
    """Return the rows of a column of images or arrays."""
    if isinstance(values, str | bytes | Mapping | Set) or not hasattr(values, "__len__"):
        raise _invalid_rows(
            Text("the column {name!r} is a single value, or not a list of them", name=name)
        )
    return list(values)


def _cells(name: str, values: Any) -> NDArray[Any]:
    """Return a column's cells; refuse what has no order, or more than one dimension."""
    if isinstance(values, np.ma.MaskedArray) and values.ndim == 1:
        values = values.tolist()  # None where it is masked
    unordered = isinstance(values, str | bytes | bytearray | Mapping | Set)
    if unordered or not hasattr(values, "__len__") or getattr(values, "ndim", 1) != 1:
        raise _invalid_rows(
            Text("the column {name!r} is a single value, or not a list of them", name=name)
        )
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return values
    cells = np.empty(len(values), dtype=object)
    cells[:] = [None if _missing(value) else value for value in values]
    if any(isinstance(cell, _NEITHER) for cell in cells):
        raise _invalid_rows(Text("the column {name!r} holds times or complex numbers", name=name))
    return cells


def _missing(value: Any) -> bool:
    """Tell None, NaN and NaT (the values unequal to themselves), and NA, which compares to NA."""
    if value is None or type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)  # noqa: PLR0124
    except (TypeError, ValueError, ArithmeticError):
        return False  # an array, or a signalling NaN: the reader of the cell reports it


def texts_of(cells: NDArray[Any]) -> NDArray[Any]:
    """Return the cells of categories and texts as agents read them (`datasources.conform`)."""
    texts = np.empty(len(cells), dtype=object)
    texts[:] = [_text(value) for value in cells.tolist()]
    return texts


def _text(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else str(int(value)) if value.is_integer() else value
    return value.isoformat() if type(value) is date else value


def _invalid_rows(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_rows",
        Text("The rows cannot be read: {reason}.", reason=reason),
        'Pass a list of dicts such as [{"age": 41}], columns such as {"age": [41]}, or a table.',
    )
