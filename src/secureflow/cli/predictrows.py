"""The rows that `secureflow model predict` reads, block by block: a CSV file or a Parquet file.

What is passed through stays as it was. Cells of CSV are text: leading zeros, large numbers and
dates keep every character. Columns of Parquet keep their types. A file may be larger than memory.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at

if TYPE_CHECKING:
    import pyarrow as pa

    from secureflow.sdk.prediction import Predictor

PARQUET: Final = (".parquet", ".pq")
BLOCK_ROWS: Final = 8192
"""Rows that are read, predicted and written at a time."""
_MAGIC: Final = b"PAR1"
"""The first and the last bytes of a Parquet file."""


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Args:
        before: rows of the file before them.
        rows: what the model reads, as `Predictor.predict` takes it.
        kept: an Arrow table of the columns that are passed through.
    """

    before: int
    rows: Any
    kept: pa.Table


class RowSource(Protocol):
    """An open file of rows."""

    kept: pa.Schema
    """The columns that are passed through."""

    def blocks(self) -> Iterator[Block]:
        """Yield the rows; at least one block, perhaps an empty one.

        Raises:
            SecureFlowError: `invalid_file`, `malformed_cell`.
        """


@contextmanager
def opened_rows(
    path: Path, model: Predictor, ids: Sequence[str], *, keep_all: bool, missing: Sequence[str]
) -> Iterator[RowSource]:
    """Open a file of rows.

    Args:
        path: CSV in UTF-8 with a header line, or Parquet, whatever its name is.
        model: that will predict them.
        ids: columns that are passed through.
        keep_all: whether all other columns are, too.
        missing: texts that stand for a missing value in CSV.

    Raises:
        SecureFlowError: `invalid_file` for a file that is neither; `missing_column`,
            `invalid_rows` for ids that it cannot pass through.
    """
    try:
        with path.open("rb") as file:
            parquet = path.suffix.lower() in PARQUET or file.read(len(_MAGIC)) == _MAGIC
        if parquet:
            with parquet_file(path) as opened:
                yield _ParquetRows(path, opened, model, ids, keep_all)
            return
        with path.open(encoding="utf-8-sig", newline="\n") as text:
            yield _CsvRows(path, text, model, ids, keep_all, frozenset(missing))
    except (OSError, UnicodeError) as error:
        if isinstance(error, UnicodeError):
            raise _not_csv(path, t("it is not UTF-8")) from error
        raise SecureFlowError(
            "invalid_file", failed_at(path, error), t("Check the path.")
        ) from error


class _CsvRows:
    """Rows of a CSV file (RFC 4180)."""

    def __init__(
        self,
        path: Path,
        text: Any,
        model: Predictor,
        ids: Sequence[str],
        keep_all: bool,
        missing: frozenset[str],
    ) -> None:
        import pyarrow as pa  # `--help` does not need it

        from secureflow.sdk.predictedrows import passed_through

        self._path, self._missing = path, missing
        self._table = csv.reader(text)
        header = next(self._lines(), None)
        if not header:
            raise SecureFlowError("invalid_file", t("{path} has no header line.", path=path))
        self._header = header
        self._numeric = {name for name, _ in model.features.input_bounds}
        self._read = [name for name in dict.fromkeys(header) if name in model.features.inputs]
        for name in self._read:
            if header.count(name) > 1:
                raise _not_csv(path, t("the header has the column {name} twice", name=name))
        names = passed_through(model, header, ids, keep_all=keep_all)
        self.kept = pa.schema([(name, pa.string()) for name in names])

    def blocks(self) -> Iterator[Block]:
        """See `RowSource.blocks`."""
        before, lines = 0, self._lines()
        while True:
            block: list[list[str]] = []
            for row in lines:
                if len(row) != len(self._header):
                    raise self._ragged(before + len(block) + 1, len(row))
                block.append(row)
                if len(block) == BLOCK_ROWS:
                    break
            if block or not before:
                yield self._block(before, block)
            if len(block) < BLOCK_ROWS:
                return
            before += len(block)

    def _lines(self) -> Iterator[list[str]]:
        try:
            for row in self._table:
                if row:
                    yield row
        except csv.Error as error:
            raise SecureFlowError(
                "invalid_file",
                t("{path} cannot be read as CSV: line {line}.",
                  path=self._path, line=self._table.line_num),
                t("Name a file whose name matches its content: CSV in UTF-8, or Parquet."),
            ) from error  # fmt: skip

    def _block(self, before: int, rows: list[list[str]]) -> Block:
        import pyarrow as pa

        places = {name: self._header.index(name) for name in {*self._read, *self.kept.names}}
        read = {
            name: [
                self._cell(before + at, name, row[places[name]]) for at, row in enumerate(rows, 1)
            ]
            for name in self._read
        }
        kept = [pa.array([row[places[name]] for row in rows], pa.string())
                for name in self.kept.names]  # fmt: skip
        return Block(before, read, pa.Table.from_arrays(kept, schema=self.kept))

    def _cell(self, row: int, name: str, text: str) -> float | str | None:
        if text in self._missing:
            return None
        if name not in self._numeric:
            return text
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if number != number or "_" in text:  # noqa: PLR0124 - agents read neither as a number
            raise SecureFlowError(
                "malformed_cell",
                t("Row {row}, column {name}: {text!r} is not a number.",
                  row=row, name=name, text=text[:80]),
                t("Correct it, or say which texts stand for a missing value: --missing TEXT."),
                {"row": row, "column": name},
            )  # fmt: skip
        return number

    def _ragged(self, row: int, cells: int) -> SecureFlowError:
        expected = len(self._header)
        return _not_csv(
            self._path,
            t("row {row} has {cells} cells, the header {expected}",
              row=row, cells=cells, expected=expected),
        )  # fmt: skip


class _ParquetRows:
    """Rows of a Parquet file."""

    def __init__(
        self, path: Path, file: Any, model: Predictor, ids: Sequence[str], keep_all: bool
    ) -> None:
        import pyarrow as pa

        from secureflow.sdk.predictedrows import passed_through

        self._path, self._file = path, file
        schema = file.schema_arrow
        self._read = [name for name in schema.names if name in model.features.inputs]
        names = passed_through(model, schema.names, ids, keep_all=keep_all)
        self.kept = pa.schema([schema.field(name) for name in names])

    def blocks(self) -> Iterator[Block]:
        """See `RowSource.blocks`."""
        import pyarrow as pa

        before, wanted = 0, list(dict.fromkeys((*self._read, *self.kept.names)))
        try:
            for batch in self._file.iter_batches(BLOCK_ROWS, columns=wanted):
                table = pa.Table.from_batches([batch])
                kept = table.select(self.kept.names).cast(self.kept)
                yield Block(before, table.select(self._read), kept)
                before += len(table)
        except (pa.ArrowException, OSError, UnicodeError) as error:
            raise no_parquet(self._path) from error
        if not before:
            empty = self._file.schema_arrow.empty_table()
            yield Block(0, empty.select(self._read), empty.select(self.kept.names))


@contextmanager
def parquet_file(path: Path) -> Iterator[Any]:
    """Open a Parquet file of anybody, to be read in blocks.

    Raises:
        SecureFlowError: `invalid_file`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Buffered, not ahead: a row group may be larger than memory.
        file = pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
        _ = file.schema_arrow
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise no_parquet(path) from error
    with file:
        yield file


def no_parquet(path: Path) -> SecureFlowError:
    """Return the error of a file that is no Parquet, or holds what is no cell."""
    return SecureFlowError(
        "invalid_file",
        t("{path} cannot be read as Parquet.", path=path),
        t("Name a file whose name matches its content: CSV in UTF-8, or Parquet."),
    )


def _not_csv(path: Path, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_file",
        t("{path} cannot be read as CSV: {reason}.", path=path, reason=reason),
        t("Name a file whose name matches its content: CSV in UTF-8, or Parquet."),
    )
