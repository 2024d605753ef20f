"""Prepared rows as code of others sees them: by name, without labels (docs/bundles.md, "Rows")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.bundle_family import INPUTS
from secureflow.domain.specs.inputs import TensorFeature, TextFeature
from secureflow.engines.preparation.encoded import EncodedRows

Values = NDArray[np.float32] | EncodedRows


def code_rows(
    rows: Values, beside: Sequence[TensorFeature]
) -> Iterator[tuple[str, np.dtype[Any], tuple[int, ...], Values]]:
    """Yield what the rows hold beside labels: a table, and each other column in its shape."""
    if not isinstance(rows, EncodedRows) or not rows.tensors:
        yield INPUTS, np.dtype("<f4"), (_width(rows),), rows
        return
    table = replace(rows, tensors=())
    if table.width:
        yield INPUTS, np.dtype("<f4"), (table.width,), table
    nothing = np.zeros((len(rows), 0))
    bare = EncodedRows(nothing.astype(np.float32), nothing.astype(np.int32), ())
    for feature, one in zip(beside, rows.tensors, strict=True):
        text = isinstance(feature, TextFeature)
        shape = (feature.length,) if isinstance(feature, TextFeature) else feature.shape
        dtype = np.dtype("<i4" if text else "<f4")
        yield feature.column, dtype, shape, replace(bare, tensors=(one,))


def code_arrays(rows: EncodedRows, beside: Sequence[TensorFeature]) -> dict[str, NDArray[Any]]:
    """Return the same as arrays, read-only, of so many rows as memory holds."""
    found = {}
    for name, dtype, shape, values in code_rows(rows, beside):
        array = np.empty((len(rows), *shape), dtype)
        for some in rows.blocks():
            array[some] = values[some].reshape(len(some), *shape)
        array.flags.writeable = False
        found[name] = array
    return found


def _width(inputs: NDArray[np.float32] | EncodedRows) -> int:
    return inputs.width if isinstance(inputs, EncodedRows) else int(inputs.shape[1])
