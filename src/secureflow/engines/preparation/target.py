"""From cells of the label column, and of a weight column, to numbers (`domain.specs.targets`).

Each exists twice: exactly, where a cell that does not fit is an error that names its row; and for
private jobs, where no row may cause an error: a row without a usable label is not there, a number
beyond the bounds counts as the near bound, and a weight that is missing or no number is 0.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel, SampleWeight
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.preparation.columns import (
    Columns,
    column,
    malformed_cell,
    numeric_column,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

AnyLabel = Label | ClassesLabel | NumberLabel
Vector = NDArray[np.float32]
Present = NDArray[np.bool_]

_UNKNOWN: Final = -1
_MISSING: Final = -2


def label_vector(label: AnyLabel | None, columns: Columns, rows: int = 0) -> Vector:
    """Return the target of every row, float32 of shape (rows,).

    Args:
        label: the spec's target.
        columns: the party's rows.
        rows: their number, where there is no label: the targets are then 0.

    Raises:
        SecureFlowError: `missing_column`; `missing_label`, `unknown_class`, `label_out_of_range`,
            `malformed_cell` naming the row; `malformed_label` when the column is numeric and a
            class is not a number.
    """
    if label is None:
        return np.zeros(rows, np.float32)
    if isinstance(label, NumberLabel):
        return _numbers(label, columns)
    if isinstance(label, ClassesLabel):
        return _classes(label, columns)
    values = column(columns, label.column)
    if values.dtype.kind in "fiu":
        missing, positive = np.isnan(values), values == label.number()
    else:
        missing = np.fromiter((v is None for v in values), dtype=bool, count=len(values))
        positive = values == label.positive
    _refuse_missing(label.column, missing)
    return np.asarray(positive, dtype=np.float32)


def private_labels(label: AnyLabel, columns: Columns) -> tuple[Present, Vector]:
    """Return which rows have a usable label, and the targets (0 where they have none).

    Raises:
        SecureFlowError: `missing_column`, `malformed_label`: these depend only on the spec.
    """
    values = column(columns, label.column)
    if isinstance(label, NumberLabel):
        numbers = plain_numbers(values)
        known = ~np.isnan(numbers)
        clamped = np.clip(np.where(known, numbers, label.middle), *label.bounds)
        return known, _scaled(label, clamped)
    if isinstance(label, ClassesLabel):
        codes = _codes(label, values)
        return codes >= 0, np.maximum(codes, 0).astype(np.float32)
    if values.dtype.kind in "fiu":
        return ~np.isnan(values), np.asarray(values == label.number(), np.float32)
    cells = values.tolist()
    present = np.fromiter((isinstance(cell, str) for cell in cells), np.bool_, len(cells))
    positive = np.fromiter((cell == label.positive for cell in cells), np.bool_, len(cells))
    return present, positive.astype(np.float32)


def weight_vector(features: FeatureSpec, columns: Columns) -> Vector | None:
    """Return how much every row counts, float32 of shape (rows,); None if all count alike.

    Raises:
        SecureFlowError: `missing_column`; `malformed_cell` naming a row without a weight, or with
            one outside of the declared bounds.
    """
    if features.weight is None:
        return None
    name, (low, high) = features.weight.column, features.weight.bounds
    values = numeric_column(columns, name)
    for wrong, reason in (
        (np.isnan(values), "it has no weight"),
        ((values < low) | (values > high), "the weight is outside of the job's bounds"),
    ):
        if wrong.any():
            hint = Text("Give every row a weight from {low:g} to {high:g}.", low=low, high=high)
            raise malformed_cell(name, int(wrong.argmax()), reason, hint)
    return values.astype(np.float32)


def private_weights(weight: SampleWeight, columns: Columns) -> Vector:
    """Return how much every row counts; nothing in a row makes it fail.

    Raises:
        SecureFlowError: `missing_column`.
    """
    numbers = plain_numbers(column(columns, weight.column))
    return np.where(np.isnan(numbers), 0.0, np.clip(numbers, *weight.bounds)).astype(np.float32)


def plain_numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column's cells as float64; NaN for whatever is not a number."""
    if values.dtype.kind in "fiu":
        return np.asarray(values, np.float64)
    return np.array([_number(cell) for cell in values.tolist()], np.float64)


def unscaled(label: NumberLabel, scaled: NDArray[Any]) -> NDArray[np.float64]:
    """Return numbers in the label's own unit."""
    return np.asarray(label.middle + label.half * scaled.astype(np.float64))


def _numbers(label: NumberLabel, columns: Columns) -> Vector:
    values = numeric_column(columns, label.column)
    _refuse_missing(label.column, np.isnan(values))
    low, high = label.bounds
    outside = (values < low) | (values > high)
    if outside.any():
        row = int(outside.argmax()) + 1
        raise SecureFlowError(
            "label_out_of_range",
            Text(
                "Row {row} of the label column {column!r} is outside of the job's bounds.",
                row=row,
                column=label.column,
            ),
            "Correct the row, or use bounds that hold every label.",
            {"row": row, "column": label.column},
        )
    return _scaled(label, values)


def _scaled(label: NumberLabel, values: NDArray[np.float64]) -> Vector:
    return ((values - label.middle) / label.half).astype(np.float32)


def _classes(label: ClassesLabel, columns: Columns) -> Vector:
    codes = _codes(label, column(columns, label.column))
    _refuse_missing(label.column, codes == _MISSING)
    unknown = codes == _UNKNOWN
    if unknown.any():
        row = int(unknown.argmax()) + 1
        raise SecureFlowError(
            "unknown_class",
            Text(
                "Row {row} of the label column {column!r} has a class that the spec does not list.",
                row=row,
                column=label.column,
            ),
            Text("Add it to the {count} classes, or correct the row.", count=len(label.classes)),
            {"row": row, "column": label.column},
        )
    return codes.astype(np.float32)


def _codes(label: ClassesLabel, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return each row's class, `_UNKNOWN` or `_MISSING`."""
    places: dict[Any, int]
    if values.dtype.kind in "fiu":
        places = {number: at for at, number in enumerate(label.numbers())}
        cells = values.astype(np.float64).tolist()
        found = (places.get(v, _MISSING if v != v else _UNKNOWN) for v in cells)  # noqa: PLR0124
    else:
        places = {name: at for at, name in enumerate(label.classes)}
        cells = values.tolist()
        found = (
            places.get(v, _UNKNOWN) if isinstance(v, str) else _MISSING if v is None else _UNKNOWN
            for v in cells
        )
    return np.fromiter(found, np.int64, len(cells))


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _refuse_missing(name: str, missing: NDArray[np.bool_]) -> None:
    if not missing.any():
        return
    row = int(missing.argmax()) + 1
    raise SecureFlowError(
        "missing_label",
        Text("Row {row} has no label in column {column!r}.", row=row, column=name),
        "Remove rows without a label from the dataset.",
        {"row": row, "column": name},
    )
