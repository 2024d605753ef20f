"""The design matrix: numeric columns centred and scaled, categorical ones one-hot, in spec order.

Column order of X is that of `FeatureSpec`: every numeric feature, then every categorical
feature's declared categories (and its missing indicator, if it has one), then images, arrays and
texts (`tensorcolumns`). No intercept column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import CategoricalFeature, FeatureSpec
from secureflow.engines.preparation.columns import (
    Columns,
    column,
    numeric_column,
    row_count,
    undeclared_category,
)
from secureflow.engines.preparation.moments import Moments
from secureflow.engines.preparation.target import label_vector
from secureflow.engines.preparation.tensorcolumns import tensor_columns

_MISSING, _UNKNOWN = -1, -2


def design_matrix(
    features: FeatureSpec, moments: Moments, columns: Columns
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return X of shape (rows, width) and y of shape (rows,), both float32, X C-contiguous.

    Raises:
        SecureFlowError: `missing_column`, `malformed_cell`, `unknown_category`, or the label's
            (`target`), naming row (from 1) and column.
    """
    inputs = feature_matrix(features, moments, columns)
    return inputs, label_vector(features.label, columns, len(inputs))


def feature_matrix(
    features: FeatureSpec, moments: Moments, columns: Columns
) -> NDArray[np.float32]:
    """Return only X: the input of a prediction, for which there is no label.

    Raises:
        SecureFlowError: as `design_matrix`, without the label's.
    """
    table = table_matrix(features, moments, columns)
    if not features.beside:
        return table
    every = np.arange(len(table))
    beside = [one.inputs(every) for one in tensor_columns(features, columns)]
    return np.hstack([table, *beside])


def table_matrix(features: FeatureSpec, moments: Moments, columns: Columns) -> NDArray[np.float32]:
    """Return the inputs of numbers and categories only; errors as of `feature_matrix`."""
    rows = row_count(features, columns, label=False)
    matrix = np.zeros((rows, features.table_width), dtype=np.float32)
    for at, feature in enumerate(features.numeric):
        values = np.clip(numeric_column(columns, feature.column), *feature.bounds)
        scaled = (values - moments.mean[at]) / moments.std[at]
        matrix[:, at] = np.where(np.isnan(scaled), feature.filled, scaled)
    offset = len(features.numeric)
    for categorical in features.categorical:
        offset += _one_hot(categorical, column(columns, categorical.column), matrix[:, offset:])
    return matrix


def _one_hot(feature: CategoricalFeature, values: NDArray[Any], out: NDArray[np.float32]) -> int:
    """Set the ones of a feature in the leading columns of `out`; return its number of columns."""
    positions: dict[Any, int] = {name: at for at, name in enumerate(feature.categories)}
    positions[None] = _MISSING
    codes = np.fromiter((_code(positions, v) for v in values), dtype=np.int64, count=len(values))
    unknown = codes == _UNKNOWN
    if unknown.any():
        count = len(feature.categories)
        raise undeclared_category(feature.column, int(unknown.argmax()) + 1, count)
    width = len(feature.categories)
    if feature.missing == "indicator":
        codes[codes == _MISSING] = width
        width += 1
    (present,) = np.nonzero(codes >= 0)
    out[present, codes[present]] = 1.0
    return width


def _code(positions: dict[Any, int], cell: Any) -> int:
    # Cells are only text and None; anything else might not even be hashable.
    return positions.get(cell, _UNKNOWN) if cell is None or isinstance(cell, str) else _UNKNOWN
