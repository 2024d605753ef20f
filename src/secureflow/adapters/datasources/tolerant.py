"""Arrow columns for jobs with differential privacy: no cell can cause an error.

An error caused by one row would reveal something about that row, without noise. So an invalid cell
is replaced by a fixed rule that depends only on that cell:

| cell                                                       | counts as       |
|------------------------------------------------------------|-----------------|
| number outside the declared bounds, infinite               | the near bound  |
| no number, no UTF-8, NaN                                   | missing         |
| category that is not declared                              | missing         |
| whole number in a column of texts (3.0)                    | its digits, `3` |
| row of a CSV file with too many or too few cells           | not there       |
| text that is longer than declared                          | its beginning   |
| image that is missing, damaged, too large or of another    | black: all      |
| size (unless it is to be resized)                          | zeros           |
| array that is missing or of another length                 | all zeros       |
| element of an array that is outside of bounds or dtype     | the near bound  |
| element that is not finite (without bounds), NaN           | zero            |
| element that is not whole, in an array of whole numbers    | the near number |
| what is neither a file nor below the folder of a class     | not there       |

Zero is moved to the near bound where the bounds do not hold it.

Errors that do not depend on cells (a missing column, a Parquet type that cannot be a number) are
raised before rows are read. `conform` checks the same file strictly when its owner publishes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from secureflow.domain.schemas import ColumnConfig

_NUMBER = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
"""Types that Arrow casts to float64 without an error."""


def tolerate(declared: ColumnConfig, column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """Return a column as `conform` does, with the rules above instead of errors.

    Raises:
        pyarrow.ArrowNotImplementedError, pyarrow.ArrowTypeError: only because of the column's type.
    """
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(flat, pa.ChunkedArray):  # only beyond 2 GiB of text in one column
        flat = pa.concat_arrays(flat.chunks)
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    return _numbers(declared, flat) if declared.type == "number" else _texts(declared, flat)


def latin_cells(column: pa.ChunkedArray) -> pa.Array:
    """Return the cells of a file that was read as ISO 8859-1 as the UTF-8 that they are.

    Read so, every byte is a character, and the reader can decode every row.
    """
    cells = column.cast(pa.string()).combine_chunks()
    if isinstance(cells, pa.ChunkedArray):
        cells = pa.concat_arrays(cells.chunks)
    if pc.all(pc.string_is_ascii(cells)).as_py() is not False:
        return cells
    coded = cells.dictionary_encode()
    words = [_decoded(word.encode("latin-1")) for word in coded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(coded.indices)


def _numbers(declared: ColumnConfig, column: pa.Array) -> NDArray[Any]:
    if _is_text(column.type):
        column = pc.utf8_trim_whitespace(_utf8(column))
        fits = pc.match_substring_regex(column, _NUMBER)
        column = pc.if_else(fits, column, pa.scalar(None, column.type))
    # Unsafe cast: an integer beyond 2^53 is rounded instead of refused.
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan)
    found = np.array(values.to_numpy(zero_copy_only=False), np.float64)
    if declared.bounds:
        np.clip(found, *declared.bounds, out=found)
    # Without bounds there is no replacement for an infinity; private jobs use no such column.
    return np.where(np.isinf(found), np.nan, found)


def _texts(declared: ColumnConfig, column: pa.Array) -> NDArray[Any]:
    if pa.types.is_floating(column.type):
        column = _digits(column)
    values = _utf8(column) if _is_text(column.type) else column.cast(pa.string(), safe=False)
    if declared.type == "category":
        known = pc.is_in(values, value_set=pa.array(declared.categories, pa.string()))
        values = pc.if_else(known, values, pa.scalar(None, values.type))
    if declared.length is not None:
        values = pc.utf8_slice_codeunits(values, 0, declared.length)
    coded = values.dictionary_encode()
    # Index -1 picks the None at the end; equal cells share one Python string.
    words = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return np.asarray(words[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)])


def _digits(column: pa.Array) -> pa.Array:
    """Return integers as int64, others as missing.

    Because of one missing cell a writer may store integers as floats: that must not change the
    other cells.
    """
    numbers = column.cast(pa.float64(), safe=False)
    integers = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), 2.0**53))
    kept = pc.if_else(pc.fill_null(integers, False), numbers, pa.scalar(None, pa.float64()))
    return kept.cast(pa.int64(), safe=False)


def _utf8(column: pa.Array) -> pa.Array:
    """Return text cells as `string`, those that are not UTF-8 as missing."""
    if not pa.types.is_fixed_size_binary(column.type):
        column = column.cast(pa.large_binary())  # a Parquet file calls any bytes a string
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        coded = column.cast(pa.large_binary()).dictionary_encode()
        words = [_decoded(word) for word in coded.dictionary.to_pylist()]
        return pa.array(words, pa.string()).take(coded.indices)


def _decoded(word: bytes | None) -> str | None:
    try:
        return None if word is None else word.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary_view(kind)
    )
