"""Prepared rows for code of others: one file that its process maps, and nothing else of the worker.

The file is a length (8 bytes, little-endian), so many bytes of JSON `{name: [dtype, shape, start]}`
and the arrays, C-contiguous and little-endian, `start` bytes from its beginning. Names are
`training/…` and `validation/…`, or `rows/…` where a model is applied (then without the last two):

| array       | of the rows                                                                  |
|-------------|------------------------------------------------------------------------------|
| `inputs`    | float32 (rows, width) of numbers, scaled, and categories, one-hot; absent in |
|             | a job that has none of them                                                  |
| an image's  | float32 (rows, height, width, channels), by the name of its column: values   |
| column      | / 255, or by the spec's mean and std                                         |
| an array's  | float32 (rows, *shape): from its bounds to −1 … 1                            |
| a text's    | int32 (rows, length): the numbers of its tokens in order, padded with 0      |
| `labels`    | int64 (rows,) the place of the class; float32 for a number; absent without   |
| `weights`   | float32 (rows,) how much each row counts; absent if all count alike          |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from secureflow.domain.specs.inputs import TensorFeature
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.preparation.coderows import code_rows

_ALIGNED: Final = 64
Array = tuple[np.dtype[Any], tuple[int, ...], Any]
"""Dtype, shape, and the values or what makes them."""


def write_unlabelled(path: Path, rows: EncodedRows, beside: Sequence[TensorFeature]) -> None:
    """Write the rows that a model is applied to, with neither labels nor what each row counts.

    Code that is to predict them finds nothing in the file that it could repeat.

    Args:
        path: the file, which is written over.
        rows: prepared.
        beside: the features that are images, arrays and texts.
    """
    found = code_rows(rows, beside)
    write_arrays(path, {
        f"rows/{name}": (dtype, (len(rows), *shape), values) for name, dtype, shape, values in found
    })  # fmt: skip


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write a file of arrays, by `part/name`; one that is there is written over."""
    at, places = 0, {}
    for name, (dtype, shape, _) in arrays.items():
        places[name] = (dtype, shape, at)
        at += -(-dtype.itemsize * int(np.prod(shape)) // _ALIGNED) * _ALIGNED
    first = _first(places)
    with path.open("r+b" if path.exists() else "wb", 0) as file:
        file.truncate(0)
        file.write(_header(places, first))
        for name, (dtype, _, values) in arrays.items():
            file.seek(first + places[name][2])
            _write(file, values, dtype)
        file.truncate(first + at)


def _first(places: dict[str, Any]) -> int:
    """Return where the arrays begin: behind the longest header that they can have."""
    longest = 8 + len(json.dumps({name: [one[0].str, one[1], 1 << 62]
                                  for name, one in places.items()}))  # fmt: skip
    return -(-longest // _ALIGNED) * _ALIGNED


def _header(places: dict[str, Any], first: int) -> bytes:
    told = {name: [one[0].str, one[1], first + one[2]] for name, one in places.items()}
    text = json.dumps(told).encode()
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, values: Any, dtype: np.dtype[Any]) -> None:
    """Write an array; encoded rows are made for a few rows at a time."""
    if isinstance(values, EncodedRows):
        for rows in values.blocks():
            _write(file, values[rows], dtype)
        return
    view = memoryview(np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8).data)
    while view:
        view = view[file.write(view) :]
