"""CSV files (RFC 4180, UTF-8, one header line), every cell read as text before it is judged."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.source import Description, SourceLimits
from secureflow.domain.schemas import DatasetConfig
from secureflow.kit.errors import SecureFlowError


class CsvSource:
    """A `DataSource` over one CSV file."""

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
            table = self._table(columns)
        except (pa.ArrowException, OSError, UnicodeError):
            raise self._unreadable() from None  # Arrow's message quotes the row
        if table.num_rows > self._limits.max_rows:
            raise SecureFlowError(
                "dataset_too_large",
                f"Dataset {self._config.name!r} has {table.num_rows} rows.",
                "Raise the agent's limit, or split the dataset.",
                {"dataset": self._config.name},
            )
        name = self._config.name
        return {c.name: conform(name, c, table[c.name]) for c in declared}

    def _table(self, columns: Sequence[str]) -> pa.Table:
        reading = arrow_csv.ReadOptions(use_threads=False)
        parsing = arrow_csv.ParseOptions(newlines_in_values=True)
        with arrow_csv.open_csv(self._config.path, reading, parsing) as head:
            header = head.schema.names
        for name in columns:
            if header.count(name) != 1:
                reason = "the header has it twice" if name in header else "it is not in the header"
                raise mismatch(self._config.name, name, None, reason)
        converting = arrow_csv.ConvertOptions(
            # Binary: invalid UTF-8 and bad numbers are then found with their row.
            column_types={name: pa.binary() for name in columns},
            include_columns=list(columns),
            null_values=list(self._config.missing),
            strings_can_be_null=True,
        )
        return arrow_csv.read_csv(self._config.path, reading, parsing, converting)

    def _unreadable(self) -> SecureFlowError:
        found = _first_ragged_row(Path(self._config.path))
        if found is None:
            return SecureFlowError(
                "dataset_unreadable",
                f"The file of dataset {self._config.name!r} is not a readable CSV file.",
                "It needs a header line, commas, and quotes around cells that hold either.",
                {"dataset": self._config.name},
            )
        row, cells, expected = found
        reason = f"the row has {cells} cells, the header {expected}"
        return mismatch(self._config.name, self._config.columns[-1].name, row, reason)


def _first_ragged_row(path: Path) -> tuple[int, int, int] | None:
    """Return (row from 1, its cells, the header's cells), or None where Arrow failed otherwise.

    Arrow's own callback for such rows loses those that are not UTF-8, hence this second reading.
    """
    try:
        with path.open(newline="", encoding="latin-1") as file:
            rows = (row for row in csv.reader(file) if row)
            expected = len(next(rows, []))
            for number, row in enumerate(rows, 1):
                if len(row) != expected:
                    return number, len(row), expected
    except (OSError, csv.Error):
        pass  # the caller then says that the file is unreadable
    return None
