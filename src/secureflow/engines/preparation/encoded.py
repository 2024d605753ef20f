"""Rows of a private job: no row makes their preparation fail, and memory is bounded at any width.

An error that one row can cause reveals that row without noise, and so does a process that dies when
one more row meets a design matrix of a submitter's choice. So rows are stored as numbers and codes,
their one-hot columns are made for a few rows at a time, and each row is judged by itself:

| in a row                        | counts as                                    |
|---------------------------------|----------------------------------------------|
| number beyond the bounds        | the near bound                               |
| number missing or no number     | the middle of the bounds                     |
| category missing or not listed  | missing: no category, or the indicator's     |
| no label                        | the row is not there                         |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import CategoricalFeature, FeatureSpec, Label
from secureflow.engines.preparation.columns import Columns, column, row_count
from secureflow.engines.preparation.moments import Moments

BLOCK_CELLS: Final = 1 << 22
"""Cells of a design matrix that are made at a time."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class EncodedRows:
    """Rows of a design matrix, computed on request.

    Args:
        numeric: float32 (rows, numeric features), scaled.
        codes: int32 (rows, categorical features), the position among a feature's columns or −1.
        widths: the number of columns of each categorical feature.
    """

    numeric: NDArray[np.float32]
    codes: NDArray[np.int32]
    widths: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numeric)

    @property
    def width(self) -> int:
        """The columns of the design matrix."""
        return int(self.numeric.shape[1]) + sum(self.widths)

    def __getitem__(self, rows: Index) -> NDArray[np.float32]:
        """Return these rows of the design matrix, C-contiguous float32 (len(rows), width)."""
        dense = np.zeros((len(rows), self.width), np.float32)
        offset = self.numeric.shape[1]
        dense[:, :offset] = self.numeric[rows]
        for at, width in enumerate(self.widths):
            codes = self.codes[rows, at]
            (present,) = np.nonzero(codes >= 0)
            dense[present, offset + codes[present]] = 1.0
            offset += width
        return dense

    def only(self, rows: Index) -> EncodedRows:
        """Return these rows, encoded."""
        return EncodedRows(self.numeric[rows], self.codes[rows], self.widths)

    @property
    def block(self) -> int:
        """The number of rows of the design matrix that are made at a time."""
        return max(1, BLOCK_CELLS // max(self.width, 1))

    def blocks(self) -> Iterator[Index]:
        """Yield the indices of all rows, in blocks small enough for memory."""
        for start in range(0, len(self), self.block):
            yield np.arange(start, min(start + self.block, len(self)))


def encode_rows(
    features: FeatureSpec, moments: Moments, columns: Columns
) -> tuple[EncodedRows, NDArray[np.float32]]:
    """Return the rows that have a label, and their labels: float32 (rows,) of 0 and 1.

    Raises:
        SecureFlowError: `missing_column`, `malformed_label`: these depend only on the spec.
    """
    count = row_count(features, columns)
    labelled, labels = _labels(features.label, column(columns, features.label.column))
    numeric = np.zeros((count, len(features.numeric)), np.float32)
    for at, feature in enumerate(features.numeric):
        values = np.clip(_numbers(column(columns, feature.column)), *feature.bounds)
        scaled = (values - moments.mean[at]) / moments.std[at]
        numeric[:, at] = np.where(np.isfinite(scaled), scaled, 0.0)
    codes = np.zeros((count, len(features.categorical)), np.int32)
    for at, categorical in enumerate(features.categorical):
        codes[:, at] = _codes(categorical, column(columns, categorical.column))
    widths = tuple(len(f.categories) + (f.missing == "indicator") for f in features.categorical)
    (kept,) = np.nonzero(labelled)
    return EncodedRows(numeric, codes, widths).only(kept), labels[kept]


def _labels(label: Label, values: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    if values.dtype.kind in "fiu":
        return ~np.isnan(values), np.asarray(values == label.number(), np.float32)
    cells = values.tolist()
    present = np.fromiter((isinstance(cell, str) for cell in cells), np.bool_, len(cells))
    positive = np.fromiter((cell == label.positive for cell in cells), np.bool_, len(cells))
    return present, positive.astype(np.float32)


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind in "fiu":
        return np.asarray(values, np.float64)
    return np.array([_number(cell) for cell in values.tolist()], np.float64)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _codes(feature: CategoricalFeature, values: NDArray[Any]) -> NDArray[np.int32]:
    missing = len(feature.categories) if feature.missing == "indicator" else -1
    places: dict[Any, int] = {name: at for at, name in enumerate(feature.categories)}
    cells = values.tolist()
    found = (places.get(cell, missing) if isinstance(cell, str) else missing for cell in cells)
    return np.fromiter(found, np.int32, len(cells))
