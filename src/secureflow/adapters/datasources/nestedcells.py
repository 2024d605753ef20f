"""Parquet columns of image bytes or of lists, as rows of images and arrays.

An image is a cell of bytes, or a record with a field `bytes` (as Hugging Face stores images). An
array is a list, a fixed-size list, or lists within lists as deep as its shape; also one flat list
of all of its elements, in C order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from secureflow.adapters.datasources.source import SourceLimits
from secureflow.adapters.datasources.tensorcells import (
    MisfitError,
    blank,
    dtype_of,
    fitted,
    tolerated,
)
from secureflow.domain.schemas import ColumnConfig


def type_fits(declared: ColumnConfig, kind: pa.DataType) -> bool:
    """Tell whether cells of this type can be the declared images or arrays."""
    if declared.type == "image":
        return is_binary(image_type(kind))
    depth = _depth(kind)
    for _ in range(depth):
        kind = kind.value_type
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(numbers and depth in {1, len(declared.shape or ())})


def images(
    declared: ColumnConfig, cells: pa.Array, limits: SourceLimits, *, tolerant: bool
) -> NDArray[Any]:
    """Return cells of bytes as uint8 of shape (rows, height, width, channels).

    Raises:
        MisfitError: for the first that is not the declared image, unless `tolerant`.
    """
    # Lazy: Pillow is an extra.
    from secureflow.adapters.datasources.imagefiles import BrokenImageError, decoded

    cells = image_bytes(cells)
    found = np.empty((len(cells), *(declared.shape or ())), np.uint8)
    for at, cell in enumerate(cells):
        data = cell.as_buffer()
        try:
            if data is None:
                raise BrokenImageError("it is empty")
            if data.size > limits.max_image_bytes:
                data = data.slice(0, limits.max_image_bytes + 1)
            found[at] = decoded(data.to_pybytes(), declared, limits)
        except BrokenImageError as error:
            if not tolerant:
                raise MisfitError(at, error.reason) from None
            found[at] = blank(declared)
    return found


def arrays(declared: ColumnConfig, cells: pa.Array, *, tolerant: bool) -> NDArray[Any]:
    """Return cells of lists as the declared dtype, of shape (rows, *shape).

    Raises:
        MisfitError: for the first that is missing, of another length, or does not fit, unless
            `tolerant`.
    """
    shape = declared.shape or ()
    whole = _flat(cells, shape)
    if whole is not None:
        fit = tolerated if tolerant else fitted
        return fit(declared, whole.reshape(len(cells), *shape))
    found = np.empty((len(cells), *shape), dtype_of(declared))
    for at in range(len(cells)):
        row = _flat(cells.slice(at, 1), shape)
        if row is None and not tolerant:
            raise MisfitError(at, "it is empty, has an empty element or another length")
        if row is None:
            found[at] = blank(declared)
            continue
        try:
            fit = tolerated if tolerant else fitted
            found[at] = fit(declared, row.reshape(1, *shape))[0]
        except MisfitError as error:
            raise MisfitError(at, error.reason) from None
    return found


def _flat(cells: pa.Array, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return all elements of these cells, or None if any cell or element is not as it should be."""
    lengths = shape if _depth(cells.type) == len(shape) else (math.prod(shape),)
    for length in lengths:
        if cells.null_count or not pc.all(pc.equal(pc.list_value_length(cells), length)).as_py():
            return None if len(cells) else np.empty(0, np.uint8)
        cells = cells.flatten()
    if cells.null_count:
        return None
    found: NDArray[Any] = cells.to_numpy(zero_copy_only=False)
    return found.view(np.uint8) if found.dtype.kind == "b" else found


def _depth(kind: pa.DataType) -> int:
    depth = 0
    while is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth


def image_bytes(cells: pa.Array) -> pa.Array:
    """Return the bytes of a column of images."""
    return pc.struct_field(cells, "bytes") if pa.types.is_struct(cells.type) else cells


def image_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of an image column's bytes: its own, or that of its field `bytes`."""
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return kind.field("bytes").type
    return kind


def is_binary(kind: pa.DataType) -> bool:
    """Tell whether cells of a type are bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def is_list(kind: pa.DataType) -> bool:
    """Tell whether cells of a type are lists."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
