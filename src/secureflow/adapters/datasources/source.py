"""The `DataSource` port."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

BLOCK_ROWS: Final = 1 << 16
"""The most rows of a block (`DataSource.blocks`)."""
IMAGE_MAGIC: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How the two kinds of image file begin that are read: PNG and JPEG."""


@dataclass(frozen=True)
class SourceLimits:
    """Limits of reading.

    Args:
        max_bytes: on disk, and in memory, decoded.
        max_rows: of a dataset.
        max_image_bytes: of one image as it is stored.
        max_pixels: of one image before it is resized.
        rows: numbers of the rows that alone are read, from 0, in this order; None for all.
    """

    max_bytes: int = 4 << 30
    max_rows: int = 50_000_000
    max_image_bytes: int = 64 << 20
    max_pixels: int = 1 << 26
    rows: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class SourceDescription:
    """The row count and the declared columns of a dataset whose every cell fits its schema."""

    rows: int
    columns: tuple[str, ...]


class DataSource(Protocol):
    """Rows of one dataset.

    Numbers come as float64 (NaN missing), images as uint8 of shape (rows, height, width, channels),
    arrays as their dtype of shape (rows, *shape), the rest as `str` or None.
    """

    def describe(self) -> SourceDescription:
        """Read every declared column and return the description.

        Raises:
            SecureFlowError: as `read`.
        """

    def check(self, columns: Sequence[str]) -> None:
        """Refuse columns that the file does not have, or has twice; no row is read.

        Raises:
            SecureFlowError: `schema_mismatch` naming the column; `unknown_column`;
                `dataset_unreadable`.
        """

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return these columns, each with one element or array per row; no other is read.

        A tolerant source refuses no cell: `tolerant` defines what invalid ones count as.

        Raises:
            SecureFlowError: those of `check`; `schema_mismatch` naming row (from 1) and column;
                `dataset_unreadable`; `dataset_too_large`.
        """

    def blocks(self, columns: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield what `read` returns block by block, in the file's order.

        A CSV or Parquet file is never in memory as a whole, however many rows it has. A tolerant
        source, and a folder, is one block.

        Raises:
            SecureFlowError: those of `read`; earlier blocks have been yielded by then.
        """


class DeclaredSource(ABC):
    """What every `DataSource` begins with: the declaration, the limits, and how strict it is.

    Args:
        config: the owner's declaration.
        limits: of reading.
        tolerant: whether no cell is refused.
    """

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

    @abstractmethod
    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""

    def blocks(self, columns: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """See `DataSource.blocks`."""
        yield self.read(columns)


def check_memory(config: DatasetConfig, columns: Sequence[str], rows: int, most: int) -> None:
    """Refuse columns that would take more bytes than `most`, before any are allocated.

    Raises:
        SecureFlowError: `dataset_too_large`.
    """
    if rows * sum(row_bytes(config.column(name)) for name in columns) > most:
        raise too_large(config.name)


def row_bytes(declared: ColumnConfig) -> int:
    """Return how many bytes one row of a column takes in memory (of a text: its reference)."""
    if declared.shape is None:
        return 8
    return math.prod(declared.shape) * np.dtype(declared.dtype or "uint8").itemsize


def too_large(dataset: str) -> SecureFlowError:
    """Return the error for too many rows or bytes, without revealing how many there are."""
    return SecureFlowError(
        "dataset_too_large",
        Text("Dataset {dataset!r} has more rows or bytes than the agent reads.", dataset=dataset),
        "Raise the agent's limits, or split the dataset.",
        {"dataset": dataset},
    )
