"""The `DataSource` port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class SourceLimits:
    """Limits of reading: bytes on disk (and uncompressed in memory), and rows."""

    max_bytes: int = 4 << 30
    max_rows: int = 50_000_000


@dataclass(frozen=True)
class SourceDescription:
    """The row count and the declared columns of a dataset whose every cell fits its schema."""

    rows: int
    columns: tuple[str, ...]


class DataSource(Protocol):
    """Rows of one dataset. Numbers come as float64 (NaN missing), the rest as `str` or None."""

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
        """Return these columns, each of shape (rows,); no other column is read.

        A tolerant source refuses no cell: `tolerant` defines what invalid ones count as.

        Raises:
            SecureFlowError: those of `check`; `schema_mismatch` naming row (from 1) and column;
                `dataset_unreadable`; `dataset_too_large`.
        """


def too_large(dataset: str) -> SecureFlowError:
    """Return the error for too many rows or bytes, without revealing how many there are."""
    return SecureFlowError(
        "dataset_too_large",
        Text("Dataset {dataset!r} has more rows or bytes than the agent reads.", dataset=dataset),
        "Raise the agent's limits, or split the dataset.",
        {"dataset": dataset},
    )
