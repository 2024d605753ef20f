"""In the worker: what a party brings to a program of others, and the files that come of it.

Numbers are written as Python reads them back, whole ones without a fraction; an empty cell stays
empty. What the program has written is foreign: it is put into the result as bytes, never parsed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FILE: Final = "file"
CONTENT: Final = "content"
"""The columns of a result: names, and bytes."""
_WHOLE: Final = float(1 << 53)
_BLOCK: Final = 10_000
"""Rows that are written at once."""


def write_csv(columns: Mapping[str, NDArray[Any]], file: BinaryIO) -> None:
    """Write columns of equal length as CSV with a header line, in UTF-8.

    A cell with a carriage return would end its row if it were not quoted, and Python 3.11 does not.
    """
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(columns)
    arrays = list(columns.values())
    rows = len(arrays[0])
    for start in range(0, rows, _BLOCK):
        parts = [list(map(_cell, one[start : start + _BLOCK].tolist())) for one in arrays]
        ends = any("\r" in cell for part in parts for cell in part)
        (quoting if ends else plain).writerows(zip(*parts, strict=True))
    text.detach()


def _cell(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 - not a number: the cell is empty
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)
    return str(value)


def write_numbers(columns: Sequence[NDArray[Any]], file: BinaryIO) -> None:
    """Write columns of numbers as one NumPy array, a row for each row."""
    np.save(file, np.stack([np.asarray(one, np.float64) for one in columns], axis=1))


def files_table(folder: Path) -> pa.Table:
    """Return the files of a folder by name, as they are; links are none."""
    found = sorted(one for one in folder.iterdir() if one.is_file() and not one.is_symlink())
    names = pa.array([one.name for one in found], pa.string())
    contents = pa.array([one.read_bytes() for one in found], pa.large_binary())
    return pa.table({FILE: names, CONTENT: contents})
