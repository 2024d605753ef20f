"""Parquet files: null and NaN are missing; sizes are checked from the footer before reading.

Columns of images and arrays are read in batches, each fitted before the next is read, so that only
what they become is in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.nestedcells import arrays, images, type_fits
from secureflow.adapters.datasources.source import (
    DeclaredSource,
    check_memory,
    row_bytes,
    too_large,
)
from secureflow.adapters.datasources.tensorcells import MisfitError, dtype_of
from secureflow.adapters.datasources.tolerant import tolerate
from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_BLOCK = 4 << 20
_MOST_AT_ONCE = 1024
"""Bytes and rows of images or arrays that are read at once."""


class ParquetSource(DeclaredSource):
    """A `DataSource` over one Parquet file."""

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
        declared = [self._config.column(name) for name in columns]
        plain = [one.name for one in declared if not one.is_tensor]
        try:
            with pq.ParquetFile(self._config.path) as file:
                self._check_size(file, columns)
                table = file.read(columns=plain)
                tensors = {one.name: self._tensor(file, one) for one in declared if one.is_tensor}
        except (pa.ArrowException, OSError, ValueError):
            raise self._unreadable() from None  # the library's message may quote the file
        return {
            one.name: tensors[one.name] if one.is_tensor else self._cells(one, table[one.name])
            for one in declared
        }

    def _cells(self, declared: ColumnConfig, column: pa.ChunkedArray) -> NDArray[Any]:
        if self._tolerant:
            return tolerate(declared, column)
        return conform(self._config.name, declared, column)

    def _tensor(self, file: pq.ParquetFile, declared: ColumnConfig) -> NDArray[Any]:
        """Return a column of images or arrays, of shape (rows, *shape)."""
        made = np.empty((file.metadata.num_rows, *(declared.shape or ())), dtype_of(declared))
        size = max(1, min(_MOST_AT_ONCE, _BLOCK // row_bytes(declared)))
        start = 0
        for batch in file.iter_batches(size, columns=[declared.name], use_threads=False):
            cells = batch.column(0)
            try:
                block = self._block(declared, cells)
            except MisfitError as error:
                row = start + error.index + 1
                raise mismatch(self._config.name, declared.name, row, error.reason) from None
            made[start : start + len(block)] = block
            start += len(block)
        if start != len(made):
            raise self._unreadable()
        return made

    def _block(self, declared: ColumnConfig, cells: pa.Array) -> NDArray[Any]:
        if declared.type == "image":
            return images(declared, cells, self._limits, tolerant=self._tolerant)
        return arrays(declared, cells, tolerant=self._tolerant)

    def _check_column(self, schema: pa.Schema, name: str) -> None:
        found = schema.names.count(name)
        if found != 1:
            reason = "the file has it twice" if found else "the file has no such column"
            raise mismatch(self._config.name, name, None, reason)
        declared, kind = self._config.column(name), schema.field(name).type
        reason = Text("its type {kind} cannot be a {type}", kind=kind, type=declared.type)
        if declared.is_tensor:
            if not type_fits(declared, kind):
                raise mismatch(self._config.name, name, None, reason)
            return
        if not self._tolerant:
            return  # `conform` checks cells, and knows the row for the error
        try:
            tolerate(declared, pa.array([], kind))
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid):
            raise mismatch(self._config.name, name, None, reason) from None

    def _check_size(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        footer = file.metadata
        size = sum(
            group.column(at).total_uncompressed_size
            for group in map(footer.row_group, range(footer.num_row_groups))
            for at in range(group.num_columns)
            if _belongs(group.column(at).path_in_schema, columns)
        )
        if footer.num_rows > self._limits.max_rows or size > self._limits.max_bytes:
            raise too_large(self._config.name)
        check_memory(self._config, columns, footer.num_rows, self._limits.max_bytes)

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


def _belongs(path: str, columns: Sequence[str]) -> bool:
    """Tell whether a stored column is one of these, or a part of a nested one (`image.bytes`)."""
    return path in columns or any(path.startswith(f"{name}.") for name in columns)
