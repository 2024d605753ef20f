"""Drafts of declarations: what inspecting a file or folder proposes to its owner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from secureflow.domain.schemas import ColumnConfig, ColumnType, DataFormat, DatasetConfig
from secureflow.domain.specs.elements import DataType
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LeftOut = Literal[
    "identifier", "text", "mixed", "date", "constant", "empty", "infinite", "kind", "name"
]
REASONS: Final[dict[LeftOut, str]] = {
    "identifier": "it identifies rows or persons",
    "text": "it holds free text or too many categories",
    "mixed": "most of its cells are numbers, some are not",
    "date": "it holds dates or times; derive an age or a duration from it",
    "constant": "it has the same value in every row",
    "empty": "it has no value in any row",
    "infinite": "it holds infinite numbers",
    "kind": "its type is neither number nor category",
    "name": "its name is empty, duplicated, too long or not printable",
}
"""Why a column was left out, as the end of a sentence."""


@dataclass(frozen=True)
class ColumnDraft:
    """A column of a file and its drafted declaration.

    Args:
        name: the column's name in the file.
        type: its drafted type, or None for a column that is left out.
        bounds: of a number column, rounded outwards.
        categories: of a category column, sorted.
        missing: how many rows have no value.
        sensitive: a guess from the name alone.
        left_out: why it is left out; a key of `REASONS`.
        shape: of one row of an image or array column.
        dtype: of the elements of an array.
        fit: `resize` if its images have several sizes.
    """

    name: str
    type: ColumnType | None = None
    bounds: tuple[float, float] | None = None
    categories: tuple[str, ...] = ()
    missing: int = 0
    sensitive: bool = False
    left_out: LeftOut | None = None
    shape: tuple[int, ...] | None = None
    dtype: DataType | None = None
    fit: Literal["resize"] | None = None

    @property
    def nullable(self) -> bool:
        """Tell whether any row has no value."""
        return self.missing > 0

    @property
    def config(self) -> ColumnConfig | None:
        """The declaration as drafted, or None for a column that is left out."""
        if self.type is None:
            return None
        return ColumnConfig(
            self.name,
            self.type,
            self.categories,
            self.bounds,
            self.sensitive,
            shape=self.shape,
            dtype=self.dtype,
            fit=self.fit,
        )


@dataclass(frozen=True)
class TableDraft:
    """A draft: the row count, the columns in their order, the texts for unknown values.

    `index` is the CSV file that names a folder's images, None if their folders are their classes.
    """

    format: DataFormat
    rows: int
    columns: tuple[ColumnDraft, ...]
    missing: tuple[str, ...] = ("",)
    index: str | None = None

    def dataset(self, name: str, path: Path) -> DatasetConfig:
        """Return the drafted declaration of a dataset.

        Raises:
            SecureFlowError: `dataset_unreadable` if no column can be used.
        """
        usable = tuple(column.config for column in self.columns if column.config is not None)
        if not usable:
            raise unreadable(path, "none of its columns can be used as a number or category")
        return DatasetConfig(name, str(path), self.format, usable, self.missing, index=self.index)


NEEDS: Final = "Use a CSV file in UTF-8 with a header line and commas, or a Parquet file."


def unreadable(path: Path, reason: str, hint: str = NEEDS) -> SecureFlowError:
    """Return the error for a file or folder that no draft can be made of."""
    return SecureFlowError(
        "dataset_unreadable",
        Text("{name} cannot be used: {reason}.", name=path.name, reason=reason),
        hint,
        {"file": path.name},
    )
