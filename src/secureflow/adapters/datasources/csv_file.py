"""CSV files (RFC 4180, UTF-8, one header line); every cell is read as text and then checked."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.source import BLOCK_ROWS, DeclaredSource, too_large
from secureflow.adapters.datasources.tolerant import latin_cells, tolerate
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_BOM = b"\xef\xbb\xbf"
_LARGEST_BLOCK = (1 << 31) - 1
_STREAMED = 4 << 20
"""Bytes of the file that are read at once where it is read block by block."""


class CsvSource(DeclaredSource):
    """A `DataSource` over one CSV file."""

    def check(self, columns: Sequence[str]) -> None:
        """See `DataSource.check`."""
        for name in columns:
            self._config.column(name)
        try:
            with self._opened() as file:
                header = _header(file)
        except (OSError, UnicodeError, csv.Error):
            raise self._no_csv() from None
        if not header:
            raise self._no_csv()
        for name in columns:
            if header.count(name) != 1:
                reason = "the header has it twice" if name in header else "it is not in the header"
                raise mismatch(self._config.name, name, None, reason)

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""
        self.check(columns)
        try:
            table = self._tolerant_table(columns) if self._tolerant else self._table(columns)
        except (pa.ArrowException, OSError, UnicodeError):
            raise self._unreadable() from None  # Arrow's message quotes the row
        if table.num_rows > self._limits.max_rows:
            raise too_large(self._config.name)
        declared = [self._config.column(name) for name in columns]
        if self._tolerant:
            return {c.name: tolerate(c, latin_cells(table[c.name])) for c in declared}
        return {c.name: conform(self._config.name, c, table[c.name]) for c in declared}

    def blocks(self, columns: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """See `DataSource.blocks`."""
        if self._tolerant:
            yield self.read(columns)
            return
        self.check(columns)
        declared = [self._config.column(name) for name in columns]
        start = 0
        try:
            for batch in self._streamed(columns):
                if start + len(batch) > self._limits.max_rows:
                    raise too_large(self._config.name)
                yield {
                    c.name: conform(self._config.name, c, pa.chunked_array([batch[c.name]]), start)
                    for c in declared
                }
                start += len(batch)
        except (pa.ArrowException, OSError, UnicodeError):
            raise self._unreadable() from None  # Arrow's message quotes the row

    def _streamed(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        reading = arrow_csv.ReadOptions(use_threads=False, block_size=_STREAMED)
        parsing = arrow_csv.ParseOptions(newlines_in_values=True)
        converting = _as_bytes(columns, list(self._config.missing))
        with (
            self._opened() as file,
            arrow_csv.open_csv(file, reading, parsing, converting) as reader,
        ):
            for read in reader:
                for at in range(0, len(read), BLOCK_ROWS):
                    yield read.slice(at, BLOCK_ROWS)

    def _table(self, columns: Sequence[str]) -> pa.Table:
        reading = arrow_csv.ReadOptions(use_threads=False)
        parsing = arrow_csv.ParseOptions(newlines_in_values=True)
        missing = list(self._config.missing)
        with self._opened() as file:
            return arrow_csv.read_csv(file, reading, parsing, _as_bytes(columns, missing))

    def _tolerant_table(self, columns: Sequence[str]) -> pa.Table:
        """Read the file without rows of another length, decoding every byte as a character.

        As one block: otherwise a cell longer than a block is an error.
        """
        path = Path(self._config.path)
        block = min(2 * path.stat().st_size + 1, _LARGEST_BLOCK)
        reading = arrow_csv.ReadOptions(use_threads=False, block_size=block, encoding="latin-1")
        parsing = arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=_left_out)
        missing = [text.encode().decode("latin-1") for text in self._config.missing]
        converting = _as_bytes([_latin(name) for name in columns], missing)
        try:
            with self._opened() as file:
                block = min(2 * os.fstat(file.fileno()).st_size + 1, _LARGEST_BLOCK)
                reading = arrow_csv.ReadOptions(
                    use_threads=False, block_size=block, encoding="latin-1"
                )
                if file.read(len(_BOM)) != _BOM:
                    file.seek(0)
                table = arrow_csv.read_csv(file, reading, parsing, converting)
        except pa.ArrowInvalid:
            with self._opened() as file:
                if _has_rows(file):
                    raise
            table = pa.table({_latin(name): pa.array([], pa.binary()) for name in columns})
        return pa.table({name: table[_latin(name)] for name in columns})

    def _opened(self) -> BinaryIO:
        """Open the file; whoever calls closes it."""
        return Path(self._config.path).open("rb")

    def _unreadable(self) -> SecureFlowError:
        found = None if self._tolerant else self._first_ragged_row()
        if found is None:
            return self._no_csv()
        row, cells, expected = found
        reason = Text(
            "the row has {cells} cells, the header {expected}", cells=cells, expected=expected
        )
        return mismatch(self._config.name, self._config.columns[-1].name, row, reason)

    def _first_ragged_row(self) -> tuple[int, int, int] | None:
        """Return (row from 1, its cells, the header's cells), or None if Arrow failed otherwise.

        Arrow's own callback for such rows misses those that are not UTF-8, hence this second pass.
        """
        try:
            with self._opened() as file:
                rows = _rows(file)
                expected = len(next(rows, []))
                for number, row in enumerate(rows, 1):
                    if len(row) != expected:
                        return number, len(row), expected
        except (OSError, csv.Error):
            pass  # the caller then reports the file as unreadable
        return None

    def _no_csv(self) -> SecureFlowError:
        return SecureFlowError(
            "dataset_unreadable",
            Text(
                "The file of dataset {name!r} is not a readable CSV file.", name=self._config.name
            ),
            "It needs a header line, commas, and quotes around cells that hold either.",
            {"dataset": self._config.name},
        )


def _as_bytes(columns: Sequence[str], missing: Sequence[str]) -> arrow_csv.ConvertOptions:
    return arrow_csv.ConvertOptions(
        # Binary: invalid UTF-8 and bad numbers are then found with their row.
        column_types={name: pa.binary() for name in columns},
        include_columns=list(columns),
        null_values=list(missing),
        strings_can_be_null=True,
    )


def _left_out(row: arrow_csv.InvalidRow) -> Literal["skip"]:
    del row
    return "skip"


def _latin(text: str) -> str:
    """Return UTF-8 text as it looks if its bytes are decoded as ISO 8859-1."""
    return text.encode().decode("latin-1")


def _rows(file: BinaryIO) -> Iterator[list[str]]:
    """Yield the rows that are not empty, each byte of them as a character."""
    text = TextIOWrapper(file, "latin-1", newline="")
    try:
        yield from (row for row in csv.reader(text) if row)
    finally:
        with suppress(ValueError):  # it is closed
            text.detach()  # or it would close the file


def _header(file: BinaryIO) -> list[str]:
    """Return the header's cells, independent of the rows' content, UTF-8 or not."""
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    return [cell.encode("latin-1").decode("utf-8") for cell in next(_rows(file), [])]


def _has_rows(file: BinaryIO) -> bool:
    rows = _rows(file)
    try:
        next(rows, None)
        return next(rows, None) is not None
    except csv.Error:  # a cell too long for that reader: there is a row
        return True
