"""Rows of a private job: no row makes their preparation fail, and memory is bounded at any width.

An error that one row can cause reveals that row without noise, and so does a process that dies when
one more row meets a design matrix of a submitter's choice. So rows are stored as numbers and codes,
their one-hot columns, and what a recipe makes, are made for a few rows at a time, and each row is
judged by itself:

| in a row                        | counts as                                    |
|---------------------------------|----------------------------------------------|
| number beyond the bounds        | the near bound                               |
| number missing or no number     | the middle of the bounds                     |
| category missing or not listed  | missing: no category, or the indicator's     |
| no label, or a class not listed | the row is not there                         |
| a label beyond its bounds       | the near bound                               |
| a weight beyond its bounds      | the near bound                               |
| weight missing or no number     | 0                                            |
| images, arrays, texts           | `tensorcolumns`: none of them can fail       |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import CategoricalFeature, FeatureSpec
from secureflow.engines.preparation.columns import Columns, column, row_count
from secureflow.engines.preparation.design import table_matrix
from secureflow.engines.preparation.moments import Moments
from secureflow.engines.preparation.recipeinputs import (
    RecipeInputs,
    recipe_inputs,
    scaled_numbers,
)
from secureflow.engines.preparation.target import (
    label_vector,
    private_labels,
    private_weights,
)
from secureflow.engines.preparation.tensorcolumns import TensorColumn, tensor_columns

BLOCK_CELLS: Final = 1 << 22
"""Cells of a design matrix that are made at a time."""
KEPT_CELLS: Final = 1 << 24
"""Most numbers that a recipe makes of all rows and that are kept; others are made as needed."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a design matrix, computed on request.

    Args:
        numeric: float32 (rows, numeric features), scaled, or what makes them on request.
        codes: int32 (rows, categorical features), the position among a feature's columns or −1.
        widths: the number of columns of each categorical feature.
        weights: float32 (rows,), how much each row counts; None if all count alike.
        cells: how many numbers a model holds for one row, where these are more than its columns.
        tensors: images, arrays and texts of these rows.
    """

    numeric: NDArray[np.float32] | RecipeInputs
    codes: NDArray[np.int32]
    widths: tuple[int, ...]
    weights: NDArray[np.float32] | None = None
    cells: int = 0
    tensors: tuple[TensorColumn, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numeric)

    @property
    def width(self) -> int:
        """The columns of the design matrix."""
        beside = sum(one.width for one in self.tensors)
        return int(self.numeric.shape[1]) + sum(self.widths) + beside

    def __getitem__(self, rows: Index) -> NDArray[np.float32]:
        """Return these rows of the design matrix, C-contiguous float32 (len(rows), width)."""
        dense = np.zeros((len(rows), self.width), np.float32)
        offset = self.numeric.shape[1]
        if isinstance(self.numeric, RecipeInputs):
            dense[:, :offset] = self.numeric.inputs(rows)
        else:
            dense[:, :offset] = self.numeric[rows]
        for at, width in enumerate(self.widths):
            codes = self.codes[rows, at]
            (present,) = np.nonzero(codes >= 0)
            dense[present, offset + codes[present]] = 1.0
            offset += width
        for one in self.tensors:
            dense[:, offset : offset + one.width] = one.inputs(rows)
            offset += one.width
        return dense

    def only(self, rows: Index) -> EncodedRows:
        """Return these rows, encoded."""
        weights = None if self.weights is None else self.weights[rows]
        tensors = tuple(one.only(rows) for one in self.tensors)
        held = self.numeric
        numeric = held.only(rows) if isinstance(held, RecipeInputs) else held[rows]
        return EncodedRows(numeric, self.codes[rows], self.widths, weights, self.cells, tensors)

    @property
    def block(self) -> int:
        """The number of rows of the design matrix that are made at a time."""
        return max(1, BLOCK_CELLS // max(self.width, self.cells, 1))

    def blocks(self) -> Iterator[Index]:
        """Yield the indices of all rows, in blocks small enough for memory."""
        for start in range(0, len(self), self.block):
            yield np.arange(start, min(start + self.block, len(self)))


def prepared_rows(
    features: FeatureSpec, moments: Moments, columns: Columns, *, numbers: bool = False
) -> EncodedRows:
    """Return rows of which a model sees images, arrays or texts; there is no label among them.

    Args:
        features: the job's.
        moments: of its numbers.
        columns: the rows.
        numbers: whether texts are their tokens' numbers, not counts.

    Raises:
        SecureFlowError: as `feature_matrix`, and `shape_mismatch`.
    """
    table = table_matrix(features, moments, columns)
    tensors = tensor_columns(features, columns, numbers=numbers)
    return EncodedRows(table, np.zeros((len(table), 0), np.int32), (), tensors=tensors)


def labelled_rows(
    features: FeatureSpec, moments: Moments, columns: Columns, *, numbers: bool = False
) -> tuple[EncodedRows, NDArray[np.float32]]:
    """Return `prepared_rows` and their targets; an error names the row whose label does not fit."""
    rows = prepared_rows(features, moments, columns, numbers=numbers)
    return rows, label_vector(features.label, columns, len(rows))


def encode_rows(
    features: FeatureSpec, moments: Moments, columns: Columns, *, numbers: bool = False
) -> tuple[EncodedRows, NDArray[np.float32]]:
    """Return the rows that have a label, and their targets: float32 (rows,).

    Raises:
        SecureFlowError: `missing_column`, `malformed_label`, `shape_mismatch`: these depend only on
            spec and declaration.
    """
    count = row_count(features, columns, raw=True)
    labelled, labels = np.ones(count, np.bool_), np.zeros(count, np.float32)
    if features.label is not None:
        labelled, labels = private_labels(features.label, columns)
    weights = None if features.weight is None else private_weights(features.weight, columns)
    numeric = _numbers(features, moments, columns, count)
    codes = np.zeros((count, len(features.categorical)), np.int32)
    for at, categorical in enumerate(features.categorical):
        codes[:, at] = _codes(categorical, column(columns, categorical.column))
    widths = tuple(len(f.categories) + (f.missing == "indicator") for f in features.categorical)
    tensors = tensor_columns(features, columns, numbers=numbers)
    (kept,) = np.nonzero(labelled)
    return EncodedRows(numeric, codes, widths, weights, 0, tensors).only(kept), labels[kept]


def _numbers(
    features: FeatureSpec, moments: Moments, columns: Columns, rows: int
) -> NDArray[np.float32] | RecipeInputs:
    """Return the number features; those that a recipe makes are kept only if they are few."""
    if features.recipe is None:
        return scaled_numbers(features, moments, columns, rows)
    made = recipe_inputs(features.recipe, features, moments, columns)
    return made if rows * len(features.numeric) > KEPT_CELLS else made.inputs(np.arange(rows))


def _codes(feature: CategoricalFeature, values: NDArray[Any]) -> NDArray[np.int32]:
    missing = len(feature.categories) if feature.missing == "indicator" else -1
    places: dict[Any, int] = {name: at for at, name in enumerate(feature.categories)}
    cells = values.tolist()
    found = (places.get(cell, missing) if isinstance(cell, str) else missing for cell in cells)
    return np.fromiter(found, np.int32, len(cells))
