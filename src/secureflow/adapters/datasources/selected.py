"""Rows of a dataset that alone are read, in an order that its owner's agent gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.datasources.source import (
    BLOCK_ROWS,
    DataSource,
    SourceDescription,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class SelectedSource:
    """`DataSource` of some rows of another one.

    Args:
        source: of all rows.
        rows: numbers of rows, from 0, each once, in the order in which they are read; (count,).
        dataset: its name.
    """

    def __init__(self, source: DataSource, rows: NDArray[np.int64], dataset: str) -> None:
        self._source = source
        self._rows = rows
        self._dataset = dataset

    def describe(self) -> SourceDescription:
        """See `DataSource.describe`; every row is checked, and the chosen ones are counted."""
        return SourceDescription(len(self._rows), self._source.describe().columns)

    def check(self, columns: Sequence[str]) -> None:
        """See `DataSource.check`."""
        self._source.check(columns)

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`.

        Raises:
            SecureFlowError: also `dataset_changed`, for a number beyond the file's rows.
        """
        whole = self._source.read(columns)
        if any(len(found) <= self._last for found in whole.values()):
            raise SecureFlowError(
                "dataset_changed",
                Text(
                    "The file of dataset {dataset!r} has fewer rows than matched.",
                    dataset=self._dataset,
                ),
                "Restore the file that was published, or submit the pipeline again.",
            )
        return {name: found[self._rows] for name, found in whole.items()}

    def blocks(self, columns: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """See `DataSource.blocks`; the columns are in memory as a whole."""
        whole = self.read(columns)
        for start in range(0, len(self._rows), BLOCK_ROWS):
            yield {name: found[start : start + BLOCK_ROWS] for name, found in whole.items()}

    @property
    def _last(self) -> int:
        return int(self._rows.max(initial=-1))
