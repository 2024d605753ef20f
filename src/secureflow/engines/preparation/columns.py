"""Columns of a silo in memory, and access that names the row and column of a malformed cell.

A numeric column is float64 with NaN for missing; every other column is an object array of `str`
with None for missing. Errors name rows counted from 1 and never contain a cell's value: an error
may be sent to places where the data may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import FeatureSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Columns = Mapping[str, NDArray[Any]]
"""Column name to array of shape (rows,)."""


def row_count(
    features: FeatureSpec, columns: Columns, *, label: bool = True, raw: bool = False
) -> int:
    """Return the common length of the columns that the spec names.

    Args:
        features: the spec's.
        columns: the rows.
        label: whether label and weight are among them.
        raw: whether they are those that a recipe reads, not those that it makes.

    Raises:
        SecureFlowError: `missing_column`, or `malformed_cell` in the first row missing in a column.
    """
    names = features.inputs if raw else features.prepared_inputs
    if label:
        names = (*names, *features.beside_recipe)
    lengths = {name: len(column(columns, name)) for name in names}
    shortest = min(lengths, key=lengths.__getitem__)
    if lengths[shortest] != max(lengths.values()):
        raise malformed_cell(shortest, lengths[shortest], "the column ends before the others")
    return lengths[shortest]


def column(columns: Columns, name: str) -> NDArray[Any]:
    """Return one column.

    Raises:
        SecureFlowError: `missing_column`.
    """
    if name not in columns:
        raise SecureFlowError(
            "missing_column",
            Text("The column {name!r} is missing from the data.", name=name),
            "Add the column, or declare a feature spec without it.",
            {"column": name},
        )
    return columns[name]


def numeric_column(columns: Columns, name: str) -> NDArray[np.float64]:
    """Return one numeric column as float64 (NaN is missing).

    Raises:
        SecureFlowError: `missing_column`; `malformed_cell` for text or an infinity.
    """
    raw = column(columns, name)
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.array([_number(cell, name, row) for row, cell in enumerate(raw)])
    infinite = np.isinf(values)
    if infinite.any():
        raise malformed_cell(name, int(infinite.argmax()), "it is infinite")
    return values


_UNKNOWN: Final = "Correct the cell, or leave it empty if the value is unknown."


def malformed_cell(
    name: str, index: int, reason: str, hint: str = _UNKNOWN, step: str = ""
) -> SecureFlowError:
    """Return the error for a cell.

    Args:
        name: its column.
        index: of its row, from 0.
        reason: what is wrong.
        hint: what to do.
        step: of a preparation, that the cell does not fit; "" if it fits no job.
    """
    return SecureFlowError(
        "malformed_cell",
        Text(
            "Row {index} of column {name!r} does not fit: {reason}.",
            index=index + 1,
            name=name,
            reason=reason,
        ),
        hint,
        {"row": index + 1, "column": name, **({"step": step} if step else {})},
    )


def after_rows(error: SecureFlowError, before: int) -> SecureFlowError:
    """Return the error of a block of rows as one of the whole table.

    Args:
        error: whose details may name a row, from 1.
        before: rows before the block.
    """
    row, message = error.details.get("row"), error.message
    if not isinstance(row, int) or not isinstance(message, Text):
        return error
    facts = {n: row + before if n in {"row", "index"} else v for n, v in message.facts.items()}
    details = {**error.details, "row": row + before}
    return SecureFlowError(
        error.code, Text.of_table(message.template, facts), error.hint, details
    )  # fmt: skip


def undeclared_category(name: str, row: int, count: int) -> SecureFlowError:
    """Return the error for a category of this column that is none of `count` declared ones.

    Args:
        name: the column.
        row: from 1.
        count: how many are declared.
    """
    return SecureFlowError(
        "unknown_category",
        Text(
            "Row {row} of column {column!r} has a category that the spec does not declare.",
            row=row,
            column=name,
        ),
        Text("Add it to the {count} declared categories, or correct the row.", count=count),
        {"row": row, "column": name},
    )


def _number(cell: Any, name: str, index: int) -> float:
    if cell is None:
        return float("nan")
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        # `from None`: the original message would quote the cell.
        raise malformed_cell(name, index, "it is not a number") from None
