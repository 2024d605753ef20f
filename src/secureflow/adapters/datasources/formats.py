"""Which adapter serves which declared format."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from secureflow.adapters.datasources.commitment import unreadable, unreadable_folder
from secureflow.adapters.datasources.source import DataSource, SourceLimits, too_large
from secureflow.domain.schemas import DatasetConfig, check_dataset
from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def open_source(
    config: DatasetConfig, limits: SourceLimits | None = None, *, tolerant: bool = False
) -> DataSource:
    """Return the adapter for the declared format after checking declaration and file.

    Args:
        config: the owner's declaration.
        limits: the limits of reading.
        tolerant: for differential privacy, where no cell may cause an error.

    Raises:
        SecureFlowError: `contradictory_schema`, `library_missing`, `dataset_unreadable` or
            `dataset_too_large`.
    """
    check_dataset(config)
    check_library(config)
    limits = limits or SourceLimits()
    path = Path(config.path)
    if config.is_folder:
        if not path.is_dir():
            raise unreadable_folder(config.name)
    elif not path.is_file():
        raise unreadable(config.name)
    elif path.stat().st_size > limits.max_bytes:
        raise too_large(config.name)
    source: DataSource = _adapter(config)(config, limits, tolerant=tolerant)
    if limits.rows is None:
        return source
    from secureflow.adapters.datasources.selected import SelectedSource  # it brings NumPy

    return SelectedSource(source, limits.rows, config.name)


def check_library(config: DatasetConfig) -> None:
    """Refuse images whose decoder is not installed, without loading one that is.

    Raises:
        SecureFlowError: `library_missing`.
    """
    if config.decodes:
        require_images(config.name)


def require_images(dataset: str) -> None:
    """Refuse what needs the library for images, if it is not installed; it is not loaded.

    Raises:
        SecureFlowError: `library_missing`.
    """
    if find_spec("PIL") is None:
        raise SecureFlowError(
            "library_missing",
            Text(
                "The library for the images of dataset {dataset!r} (Pillow) is not installed at "
                "this agent.",
                dataset=dataset,
            ),
            install_hint("images"),
            {"dataset": dataset},
        )


def _adapter(config: DatasetConfig) -> Callable[..., DataSource]:
    # Lazy: most adapters import pyarrow (about 40 MB), which only the worker may load, and those of
    # images Pillow, which is an extra.
    if config.format == "csv":
        from secureflow.adapters.datasources.csv_file import CsvSource

        return CsvSource
    if config.format == "parquet":
        from secureflow.adapters.datasources.parquet_file import ParquetSource

        return ParquetSource
    if config.format == "arrays":
        from secureflow.adapters.datasources.array_folder import ArrayFolderSource

        return ArrayFolderSource
    from secureflow.adapters.datasources.image_folder import ImageFolderSource, ImageIndexSource

    return ImageFolderSource if config.index is None else ImageIndexSource
