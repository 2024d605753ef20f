"""Images, arrays and texts in the rows that a prediction is asked for.

An image or array column is one NumPy array with a row in its first dimension, or a list (also a
pandas or Arrow column) of arrays, pictures (`PIL.Image`) or nested lists, one for each row. A grey
image may leave out its last dimension of 1. What an owner's data source reads from files must be
decoded here: a prediction opens no file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.inputs import ArrayFeature, ImageFeature, TensorFeature, TextFeature
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.preparation.columns import malformed_cell
from secureflow.kit.text import Text

Tensor = ImageFeature | ArrayFeature


def named_rows(features: FeatureSpec, rows: Any) -> Any:
    """Return rows of a model with one input column as columns: they need not be named."""
    if len(features.inputs) != 1 or len(features.beside) != 1:
        return rows
    (one,) = features.beside
    if isinstance(one, TextFeature):
        texts = isinstance(rows, list | tuple) and all(isinstance(row, str) for row in rows)
        return {one.column: list(rows)} if texts else rows
    whole = isinstance(rows, np.ndarray) and rows.dtype.kind in "fiub"
    parts = isinstance(rows, list | tuple) and all(isinstance(row, np.ndarray) for row in rows)
    return {one.column: rows} if whole or (parts and len(rows)) else rows


def tensor_features(features: FeatureSpec) -> dict[str, Tensor]:
    """Return the images and arrays of a model, by column."""
    found: tuple[TensorFeature, ...] = features.beside
    return {one.column: one for one in found if not isinstance(one, TextFeature)}


def tensor_cells(feature: Tensor, values: Any) -> NDArray[Any]:
    """Return a column of images or arrays, (rows, *shape), in the dtype that owners declare.

    Raises:
        SecureFlowError: `malformed_cell` naming the first row that has another shape, is missing or
            holds something else than numbers.
    """
    dtype = np.dtype("uint8" if isinstance(feature, ImageFeature) else feature.dtype)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        if values.shape[1:] == feature.shape:
            return _typed(feature, values, dtype)
        values = list(values)
    found = np.zeros((len(values), *feature.shape), dtype)
    for at, cell in enumerate(values):
        found[at] = _one(feature, cell, at, dtype)
    return found


def _one(feature: Tensor, cell: Any, at: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        array = np.asarray(cell.as_py() if hasattr(cell, "as_py") else cell)
        if array.dtype == object:  # nested lists, as a frame holds them
            array = np.array([np.asarray(one) for one in array.tolist()])
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "fiub":
        raise malformed_cell(feature.column, at, "it holds no numbers")
    if isinstance(feature, ImageFeature) and array.shape == feature.shape[:2]:
        array = array[:, :, None] if feature.shape[2] == 1 else array
    if array.shape != feature.shape:
        reason = Text(
            "its shape is {found}, the model needs {shape}",
            found=list(array.shape),
            shape=list(feature.shape),
        )
        raise malformed_cell(feature.column, at, reason)
    return np.asarray(_typed(feature, array[None], dtype, at)[0])


def _typed(
    feature: Tensor, values: NDArray[Any], dtype: np.dtype[Any], first: int = 0
) -> NDArray[Any]:
    """Return numbers in a dtype; numbers that it cannot hold are refused, not wrapped around."""
    if values.dtype == dtype:
        return values
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        whole = np.isfinite(values) & (np.rint(values) == values)
        fits = whole & (values >= limits.min) & (values <= limits.max)
    if not fits.all():
        at = first + int((~fits.reshape(len(values), -1).all(axis=1)).argmax())
        reason = Text("its numbers are not of the type {dtype}", dtype=dtype.name)
        raise malformed_cell(feature.column, at, reason)
    return values.astype(dtype)
