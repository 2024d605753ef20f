"""Parquet files: null and NaN are missing; sizes are checked from the footer before reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.source import Description, SourceLimits
from secureflow.domain.schemas import DatasetConfig
from secureflow.kit.errors import SecureFlowError


class ParquetSource:
    """A `DataSource` over one Parquet file."""

    def __init__(self, config: DatasetConfig, limits: SourceLimits) -> None:
        self._config = config
        self._limits = limits

    def describe(self) -> Description:
        """See `DataSource.describe`."""
        names = tuple(column.name for column in self._config.columns)
        return Description(len(self.read(names)[names[0]]), names)

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""
        declared = [self._config.column(name) for name in columns]
        try:
            with pq.ParquetFile(self._config.path) as file:
                self._check_size(file, columns)
                table = file.read(columns=list(columns))
        except (pa.ArrowException, OSError, ValueError):
            # `from None`: the library's message may quote the file.
            raise SecureFlowError(
                "dataset_unreadable",
                f"The file of dataset {self._config.name!r} is not a readable Parquet file.",
                "Check the file and the declared format.",
                {"dataset": self._config.name},
            ) from None
        name = self._config.name
        return {c.name: conform(name, c, table[c.name]) for c in declared}

    def _check_size(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        for name in columns:
            found = file.schema_arrow.names.count(name)
            if found != 1:
                reason = "the file has it twice" if found else "the file has no such column"
                raise mismatch(self._config.name, name, None, reason)
        footer = file.metadata
        size = sum(
            group.column(at).total_uncompressed_size
            for group in map(footer.row_group, range(footer.num_row_groups))
            for at in range(group.num_columns)
            if group.column(at).path_in_schema in columns
        )
        if footer.num_rows > self._limits.max_rows or size > self._limits.max_bytes:
            raise SecureFlowError(
                "dataset_too_large",
                f"Dataset {self._config.name!r} has {footer.num_rows} rows, {size} bytes to read.",
                "Raise the agent's limits, or split the dataset.",
                {"dataset": self._config.name},
            )
