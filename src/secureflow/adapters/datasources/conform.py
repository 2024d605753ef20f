"""Checks Arrow columns against the declared schema and converts them to NumPy arrays.

An error names dataset, row (from 1, without a header) and column, and never quotes a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_LOOKED_AT = 4096
"""Cells by which a column is taken for one of different texts, or of few."""
_SHOWN = 200
"""The most characters of a file's name in a message."""


def conform(
    dataset: str, declared: ColumnConfig, column: pa.ChunkedArray, before: int = 0
) -> NDArray[Any]:
    """Return the column as float64 (number) or object array of `str` and None (the rest).

    Args:
        dataset: its name.
        declared: the column.
        column: its cells, or those of a block of rows.
        before: rows of the file before this block.

    Raises:
        SecureFlowError: `schema_mismatch` for the first cell that does not fit.
    """
    flat = column.combine_chunks()
    if isinstance(flat, pa.ChunkedArray):  # only beyond 2 GiB of text in one column
        flat = pa.concat_arrays(flat.chunks)
    return (
        _number(dataset, declared, flat, before)
        if declared.type == "number"
        else _text(dataset, declared, flat, before)
    )


def mismatch(
    dataset: str, column: str, row: int | None, reason: str, file: str = ""
) -> SecureFlowError:
    """Return the error for a row (from 1) of a column, or for the whole column (None).

    Where a row is a file of its own, or has one, `file` is its name in the dataset's folder.
    """
    where = _place(column, row, shown(file)[:_SHOWN])
    return SecureFlowError(
        "schema_mismatch",
        Text(
            "Dataset {dataset!r} does not fit its declared schema: {where}: {reason}.",
            dataset=dataset,
            where=where,
            reason=reason,
        ),
        "Correct the file or the declaration in the agent's configuration.",
        {"dataset": dataset, "column": column, "row": row},
    )


def _place(column: str, row: int | None, file: str) -> Text:
    if row is None:
        if file:
            return Text("file {file}, column {column!r}", file=file, column=column)
        return Text("column {column!r}", column=column)
    if file:
        return Text("row {row}, file {file}, column {column!r}", row=row, file=file, column=column)
    return Text("row {row}, column {column!r}", row=row, column=column)


def _number(dataset: str, declared: ColumnConfig, column: pa.Array, before: int) -> NDArray[Any]:
    from_text = _is_text(column.type)
    if not from_text and pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    values = _cast(dataset, declared, column, pa.float64(), "it is not a number", before)
    _require(dataset, declared, pc.is_finite(values), "it is not a finite number", before)
    if declared.bounds:
        low, high = declared.bounds
        if declared.clip:
            values = pc.min_element_wise(
                pc.max_element_wise(values, low, skip_nulls=False), high, skip_nulls=False
            )
        inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
        reason = Text("it is outside [{low:g}, {high:g}]", low=low, high=high)
        _require(dataset, declared, inside, reason, before)
    return np.asarray(values.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _text(dataset: str, declared: ColumnConfig, column: pa.Array, before: int) -> NDArray[Any]:
    if pa.types.is_floating(column.type):
        raise mismatch(
            dataset, declared.name, None, Text("it holds numbers, not {type}", type=declared.type)
        )
    values = _cast(dataset, declared, column, pa.string(), "it is not UTF-8 text", before)
    if declared.type == "category":
        known = pc.is_in(values, value_set=pa.array(declared.categories, pa.string()))
        _require(
            dataset,
            declared,
            pc.or_(known, pc.is_null(values)),
            "its category is not among the declared ones",
            before,
        )
    if declared.length is not None:
        short = pc.less_equal(pc.utf8_length(values), declared.length)
        reason = Text("it has more than {length} characters", length=declared.length)
        _require(dataset, declared, short, reason, before)
    return _strings(values)


def _strings(values: pa.Array) -> NDArray[Any]:
    """Return texts as `str` and None; equal cells share one where many are equal."""
    head = values.slice(0, _LOOKED_AT)
    if len(head.unique()) * 2 > len(head):
        return np.asarray(values.to_numpy(zero_copy_only=False), object)
    coded = values.dictionary_encode()
    # Index -1 picks the None at the end.
    words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return np.asarray(words[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)])


def _is_text(kind: pa.DataType) -> bool:
    tests: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_dictionary,
    )
    return any(test(kind) for test in tests)


def _cast(
    dataset: str,
    declared: ColumnConfig,
    column: pa.Array,
    to: pa.DataType,
    reason: str,
    before: int,
) -> pa.Array:
    """Cast; on failure find the first cell that cannot be cast."""
    try:
        return _cast_once(column, to)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
        found = Text(
            "its type {type} cannot be a {declared_type}",
            type=column.type,
            declared_type=declared.type,
        )
        raise mismatch(dataset, declared.name, None, found) from None
    except pa.ArrowInvalid:
        row = _first_failure(column, to)
        # `from None`: Arrow's message quotes the cell.
        raise mismatch(dataset, declared.name, before + row + 1, reason) from None


def _cast_once(column: pa.Array, to: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type in {pa.string(), pa.large_string(), pa.string_view()}:
        column = column.cast(pa.large_binary())  # a Parquet file calls any bytes a string
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        column = column.cast(pa.string())
    if pa.types.is_floating(to) and _is_text(column.type):
        column = pc.utf8_trim_whitespace(column)
    return column.cast(to)


def _first_failure(column: pa.Array, to: pa.DataType) -> int:
    """Return the smallest index whose prefix cannot be cast, by bisection."""
    good, bad = 0, len(column)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            _cast_once(column.slice(good, middle - good), to)
            good = middle
        except pa.ArrowInvalid:
            bad = middle
    return good


def _require(
    dataset: str, declared: ColumnConfig, holds: pa.Array, reason: str, before: int
) -> None:
    """Raise for the first row where `holds` is false (null passes)."""
    at = pc.index(holds, pa.scalar(False)).as_py()
    if at >= 0:
        raise mismatch(dataset, declared.name, before + at + 1, reason)
