"""The `DataSource` port, and which adapter serves which declared format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from secureflow.adapters.datasources.commitment import unreadable
from secureflow.domain.schemas import DatasetConfig, check_dataset
from secureflow.kit.errors import SecureFlowError


@dataclass(frozen=True)
class SourceLimits:
    """What is read at most: bytes on disk (and uncompressed in memory), and rows."""

    max_bytes: int = 4 << 30
    max_rows: int = 50_000_000


@dataclass(frozen=True)
class Description:
    """The row count and the declared columns of a dataset whose every cell fits its schema."""

    rows: int
    columns: tuple[str, ...]


class DataSource(Protocol):
    """Rows of one dataset. Numbers come as float64 (NaN missing), the rest as `str` or None."""

    def describe(self) -> Description:
        """Read every declared column and return what was found.

        Raises:
            SecureFlowError: as `read`.
        """

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return these columns, each of shape (rows,); no other column is read.

        Raises:
            SecureFlowError: `schema_mismatch` naming row (from 1) and column; `unknown_column`;
                `dataset_unreadable`; `dataset_too_large`.
        """


def open_source(config: DatasetConfig, limits: SourceLimits | None = None) -> DataSource:
    """Return the adapter for the declared format after checking declaration and file size.

    Raises:
        SecureFlowError: `contradictory_schema`, `dataset_unreadable` or `dataset_too_large`.
    """
    # Lazy: each adapter imports pyarrow (about 40 MB), which only the worker may hold.
    from secureflow.adapters.datasources.csv_file import CsvSource
    from secureflow.adapters.datasources.parquet_file import ParquetSource

    check_dataset(config)
    limits = limits or SourceLimits()
    path = Path(config.path)
    if not path.is_file():
        raise unreadable(config.name)
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise SecureFlowError(
            "dataset_too_large",
            f"The file of dataset {config.name!r} has {size} bytes; {limits.max_bytes} are read.",
            "Raise the agent's limit, or split the dataset.",
            {"dataset": config.name},
        )
    adapters: dict[str, Callable[[DatasetConfig, SourceLimits], DataSource]]
    adapters = {"csv": CsvSource, "parquet": ParquetSource}
    return adapters[config.format](config, limits)
