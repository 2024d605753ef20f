"""A table in memory: numbers as float64 (NaN: missing), categories as positions, texts as they are.

| column   | array                                                                     |
|----------|---------------------------------------------------------------------------|
| number   | float64 (rows,), NaN where missing, within the bounds of its type         |
| category | int32 (rows,), the position among its categories, −1 where missing        |
| text     | object (rows,), `str` or None                                             |

Reading is strict or tolerant. Strictly, a cell that fits nothing is an error that names it. In a
private job it counts as missing: an error that one row can cause would reveal that row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.prepared import PreparedColumn
from secureflow.engines.preparation.columns import (
    Columns,
    column,
    malformed_cell,
    numeric_column,
    undeclared_category,
)
from secureflow.engines.preparation.target import plain_numbers

Values = Mapping[str, NDArray[Any]]
"""Column name → its array, of the type that the table says."""
Numbers64 = NDArray[np.float64]
Codes = NDArray[np.int32]

MISSING = -1


def read_values(declared: tuple[PreparedColumn, ...], columns: Columns, *, strict: bool) -> Values:
    """Return the table before the first step.

    Raises:
        SecureFlowError: `missing_column`; if strict `malformed_cell`, `unknown_category`.
    """
    lengths = {one.column: len(column(columns, one.column)) for one in declared}
    shortest = min(lengths, key=lengths.__getitem__)
    if lengths[shortest] != max(lengths.values()):
        raise malformed_cell(shortest, lengths[shortest], "the column ends before the others")
    return {one.column: _read(one, columns, strict=strict) for one in declared}


def _read(one: PreparedColumn, columns: Columns, *, strict: bool) -> NDArray[Any]:
    if one.type == "number":
        if strict:
            found = numeric_column(columns, one.column)
        else:
            found = plain_numbers(column(columns, one.column))
            found = np.where(np.isfinite(found), found, np.nan)
        return np.clip(found, *(one.bounds or (-np.inf, np.inf)))
    cells = column(columns, one.column).tolist()
    if one.type == "text":
        return _texts(one.column, cells, strict=strict)
    places: dict[Any, int] = {name: at for at, name in enumerate(one.categories)}
    codes = np.fromiter((_code(places, cell) for cell in cells), np.int32, len(cells))
    unknown = codes < MISSING
    if strict and unknown.any():
        count = len(one.categories)
        raise undeclared_category(one.column, int(unknown.argmax()) + 1, count)
    return np.maximum(codes, MISSING)


def _texts(name: str, cells: list[Any], *, strict: bool) -> NDArray[Any]:
    found = np.empty(len(cells), object)
    for row, cell in enumerate(cells):
        if isinstance(cell, str):
            found[row] = cell
        elif strict and not _absent(cell):
            raise malformed_cell(name, row, "it is not a text")
    return found


def _absent(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _code(places: Mapping[Any, int], cell: Any) -> int:
    if _absent(cell):
        return MISSING
    return places.get(cell, MISSING - 1) if isinstance(cell, str) else MISSING - 1
