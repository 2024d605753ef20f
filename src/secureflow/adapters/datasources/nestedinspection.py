"""Drafts of Parquet columns that hold images or arrays, read piece by piece."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from secureflow.adapters.datasources.drafts import ColumnDraft
from secureflow.adapters.datasources.formats import require_images
from secureflow.adapters.datasources.nestedcells import (
    image_bytes,
    image_type,
    is_binary,
    is_list,
)
from secureflow.adapters.datasources.source import IMAGE_MAGIC
from secureflow.domain.schemas import MAX_ELEMENTS
from secureflow.domain.specs.elements import DataType

_AT_ONCE: Final = 64
_DTYPES: Final[dict[pa.DataType, DataType]] = {
    pa.bool_(): "uint8",
    pa.uint8(): "uint8",
    pa.int8(): "int8",
    pa.uint16(): "uint16",
    pa.int16(): "int16",
    pa.uint32(): "uint32",
    pa.int32(): "int32",
    pa.uint64(): "uint64",
    pa.int64(): "int64",
    pa.float16(): "float16",
    pa.float32(): "float32",
    pa.float64(): "float64",
}

Size = tuple[int, int, int]
"""Height, width and channels of an image."""


def is_nested(kind: pa.DataType) -> bool:
    """Tell whether a column of this type may hold images or arrays."""
    return is_list(kind) or is_binary(image_type(kind))


def draft_nested(file: pq.ParquetFile, name: str) -> ColumnDraft | None:
    """Return the draft of such a column; None if its bytes are no images, but perhaps text.

    Raises:
        SecureFlowError: `library_missing` for images.
    """
    if is_list(file.schema_arrow.field(name).type):
        return _lists(file, name)
    return _images(file, name)


def draft_images(name: str, sizes: Counter[Size], missing: int = 0) -> ColumnDraft:
    """Return the draft of images of these sizes: of the most frequent one."""
    if not sizes:
        return ColumnDraft(name, left_out="kind", missing=missing)
    ((shape, _),) = sizes.most_common(1)
    fit: Literal["resize"] | None = "resize" if len(sizes) > 1 else None
    return ColumnDraft(name, "image", shape=shape, fit=fit, missing=missing)


def _images(file: pq.ParquetFile, name: str) -> ColumnDraft | None:
    sizes: Counter[Size] = Counter()
    missing, seen = 0, False
    for batch in file.iter_batches(_AT_ONCE, columns=[name], use_threads=False):
        cells = image_bytes(batch.column(0))
        missing += cells.null_count
        for cell in pc.drop_null(cells):
            data = cell.as_buffer()
            if not seen and not data.slice(0, min(8, data.size)).to_pybytes().startswith(
                IMAGE_MAGIC
            ):
                return None if is_binary(file.schema_arrow.field(name).type) else _no_kind(name)
            seen = True
            require_images(name)
            # Lazy: Pillow is an extra.
            from secureflow.adapters.datasources.imagefiles import header

            size = header(data.to_pybytes())
            sizes.update([size] if size else [])
    return draft_images(name, sizes, missing)


def _lists(file: pq.ParquetFile, name: str) -> ColumnDraft:
    kind = file.schema_arrow.field(name).type
    shape: tuple[int, ...] | None = None
    missing = 0
    for batch in file.iter_batches(_AT_ONCE, columns=[name], use_threads=False):
        cells = batch.column(0)
        missing += cells.null_count
        cells = pc.drop_null(cells)
        found = _shape(cells) if len(cells) else shape
        if found is None or (shape is not None and found != shape):
            return _no_kind(name)
        shape = found
    while is_list(kind):
        kind = kind.value_type
    dtype = _DTYPES.get(kind)
    if shape is None or dtype is None:
        return _no_kind(name)
    return ColumnDraft(name, "array", shape=shape, dtype=dtype, missing=missing)


def _shape(cells: pa.Array) -> tuple[int, ...] | None:
    """Return the shape that all of these lists have, or None if they differ or have gaps."""
    shape: list[int] = []
    elements = 1
    while is_list(cells.type):
        lengths = pc.min_max(pc.list_value_length(cells)).as_py()
        if cells.null_count or lengths["min"] != lengths["max"] or not lengths["min"]:
            return None
        shape.append(lengths["min"])
        elements *= lengths["min"]
        cells = cells.flatten()
    known = len(shape) <= 8 and max(shape) <= 1 << 16 and elements <= MAX_ELEMENTS
    return tuple(shape) if known and not cells.null_count else None


def _no_kind(name: str) -> ColumnDraft:
    return ColumnDraft(name, left_out="kind")
