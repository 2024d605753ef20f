"""Which adapter serves which declared format."""

from __future__ import annotations

from pathlib import Path

from secureflow.adapters.datasources.commitment import unreadable
from secureflow.adapters.datasources.source import DataSource, SourceLimits, too_large
from secureflow.domain.schemas import DatasetConfig, check_dataset


def open_source(
    config: DatasetConfig, limits: SourceLimits | None = None, *, tolerant: bool = False
) -> DataSource:
    """Return the adapter for the declared format after checking declaration and file.

    Args:
        config: the owner's declaration.
        limits: the limits of reading.
        tolerant: for differential privacy, where no cell may cause an error.

    Raises:
        SecureFlowError: `contradictory_schema`, `dataset_unreadable` or `dataset_too_large`.
    """
    # Lazy: each adapter imports pyarrow (about 40 MB), which only the worker may load.
    from secureflow.adapters.datasources.csv_file import CsvSource
    from secureflow.adapters.datasources.parquet_file import ParquetSource

    check_dataset(config)
    limits = limits or SourceLimits()
    path = Path(config.path)
    if not path.is_file():
        raise unreadable(config.name)
    if path.stat().st_size > limits.max_bytes:
        raise too_large(config.name)
    if config.format == "csv":
        return CsvSource(config, limits, tolerant=tolerant)
    return ParquetSource(config, limits, tolerant=tolerant)
