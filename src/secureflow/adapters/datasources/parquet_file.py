"""Parquet files: null and NaN are missing; sizes are checked from the footer before reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.source import SourceDescription, SourceLimits, too_large
from secureflow.adapters.datasources.tolerant import tolerate
from secureflow.domain.schemas import DatasetConfig
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class ParquetSource:
    """A `DataSource` over one Parquet file."""

    def __init__(
        self, config: DatasetConfig, limits: SourceLimits, *, tolerant: bool = False
    ) -> None:
        self._config = config
        self._limits = limits
        self._tolerant = tolerant

    def describe(self) -> SourceDescription:
        """See `DataSource.describe`."""
        names = tuple(column.name for column in self._config.columns)
        return SourceDescription(len(self.read(names)[names[0]]), names)

    def check(self, columns: Sequence[str]) -> None:
        """See `DataSource.check`."""
        for name in columns:
            self._config.column(name)
        try:
            schema = pq.read_schema(self._config.path)
        except (pa.ArrowException, OSError, ValueError):
            raise self._unreadable() from None
        for name in columns:
            self._check_column(schema, name)

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""
        self.check(columns)
        try:
            with pq.ParquetFile(self._config.path) as file:
                self._check_size(file, columns)
                table = file.read(columns=list(columns))
        except (pa.ArrowException, OSError, ValueError):
            raise self._unreadable() from None  # the library's message may quote the file
        declared = [self._config.column(name) for name in columns]
        if self._tolerant:
            return {c.name: tolerate(c, table[c.name]) for c in declared}
        return {c.name: conform(self._config.name, c, table[c.name]) for c in declared}

    def _check_column(self, schema: pa.Schema, name: str) -> None:
        found = schema.names.count(name)
        if found != 1:
            reason = "the file has it twice" if found else "the file has no such column"
            raise mismatch(self._config.name, name, None, reason)
        if not self._tolerant:
            return  # `conform` checks cells, and knows the row for the error
        declared, kind = self._config.column(name), schema.field(name).type
        try:
            tolerate(declared, pa.array([], kind))
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid):
            reason = Text("its type {kind} cannot be a {type}", kind=kind, type=declared.type)
            raise mismatch(self._config.name, name, None, reason) from None

    def _check_size(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        footer = file.metadata
        size = sum(
            group.column(at).total_uncompressed_size
            for group in map(footer.row_group, range(footer.num_row_groups))
            for at in range(group.num_columns)
            if group.column(at).path_in_schema in columns
        )
        if footer.num_rows > self._limits.max_rows or size > self._limits.max_bytes:
            raise too_large(self._config.name)

    def _unreadable(self) -> SecureFlowError:
        return SecureFlowError(
            "dataset_unreadable",
            Text(
                "The file of dataset {name!r} is not a readable Parquet file.",
                name=self._config.name,
            ),
            "Check the file and the declared format.",
            {"dataset": self._config.name},
        )
