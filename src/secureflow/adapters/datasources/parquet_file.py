"""Parquet files: null and NaN are missing; sizes and counts are checked before a page is read.

Columns of images and arrays are read in batches, each fitted before the next is read, so that only
what they become is in memory as a whole. A value that many rows share is stored once, and
counted once: so texts are read as such a dictionary and measured before they are written out for
each row, and no batch has more rows than may all be as long as their column is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.nestedcells import arrays, images, type_fits
from secureflow.adapters.datasources.parquet_pages import (
    Chunk,
    belongs,
    chunks,
    footer_chunks,
)
from secureflow.adapters.datasources.source import (
    BLOCK_ROWS,
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
_STORED = 64 << 20
"""Bytes of a batch whose every row were as long as its column is stored."""
_DECODED = 1 << 30
"""Bytes of texts in one piece: Arrow's `string` has no more than twice as many."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}


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
                self._check_counts(file)
                self._check_footer(file, columns)
                stored = chunks(self._config.path, file, columns)
                self._check_stored(file, stored)
                table = self._table(file, plain, stored)
                tensors = {
                    one.name: self._tensor(file, one, stored) for one in declared if one.is_tensor
                }
                rows = file.metadata.num_rows
        except (pa.ArrowException, OSError, ValueError):
            raise self._unreadable() from None  # the library's message may quote the file
        if any(len(one) != rows for one in table.values()):
            raise self._miscounted()
        return {
            one.name: tensors[one.name] if one.is_tensor else self._cells(one, table[one.name])
            for one in declared
        }

    def blocks(self, columns: Sequence[str]) -> Iterator[dict[str, NDArray[Any]]]:
        """See `DataSource.blocks`."""
        declared = [self._config.column(name) for name in columns]
        if self._tolerant or any(one.is_tensor for one in declared):
            yield self.read(columns)
            return
        self.check(columns)
        start = 0
        try:
            for batch in self._streamed(columns):
                yield {
                    c.name: conform(self._config.name, c, batch[c.name], start) for c in declared
                }
                start += batch.num_rows
        except (pa.ArrowException, OSError, ValueError):
            raise self._unreadable() from None  # the library's message may quote the file

    def _streamed(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows in blocks, of which the texts are measured before they are written out.

        Raises:
            SecureFlowError: `dataset_too_large`.
        """
        with pq.ParquetFile(self._config.path) as file:
            self._check_counts(file)
            self._check_footer(file, columns)
            stored = chunks(self._config.path, file, columns)
            self._check_stored(file, stored)
            texts = [one for one in columns if _is_text(file.schema_arrow.field(one).type)]
        prefixed = {one.column for one in stored if one.prefixed}
        size = min((BLOCK_ROWS, *(_rows_at_once(stored, one) for one in prefixed)))
        coded = [one for one in texts if one not in prefixed]
        with pq.ParquetFile(self._config.path, read_dictionary=coded, buffer_size=_BLOCK) as file:
            for batch in file.iter_batches(size, columns=list(columns), use_threads=False):
                table = pa.Table.from_batches([batch])
                if sum(_length(table[one]) for one in texts) > _DECODED:
                    raise too_large(self._config.name)
                yield table

    def _table(
        self, file: pq.ParquetFile, names: Sequence[str], stored: Sequence[Chunk]
    ) -> dict[str, pa.ChunkedArray]:
        """Return columns of numbers and texts.

        Raises:
            SecureFlowError: `dataset_too_large`: written out for each row, texts are.
        """
        schema = file.schema_arrow
        texts = [one for one in names if _is_text(schema.field(one).type)]
        prefixed = {one.column for one in stored if one.prefixed}.intersection(texts)
        found, room = {}, self._limits.max_bytes
        with pq.ParquetFile(self._config.path, read_dictionary=texts) as coded:
            whole = [one for one in names if one not in prefixed]
            table = coded.read(columns=whole, use_threads=False)
            for one in whole:
                column = table[one]
                if one in texts:
                    room -= _length(column)
                    if room < 0:
                        raise too_large(self._config.name)
                    column = _decoded(column)
                found[one] = column
        for one in prefixed:
            batches = []
            for batch in file.iter_batches(_rows_at_once(stored, one), columns=[one]):
                room -= batch.nbytes
                if room < 0:
                    raise too_large(self._config.name)
                batches.append(batch.column(0))
            found[one] = pa.chunked_array(batches, schema.field(one).type)
        return found

    def _cells(self, declared: ColumnConfig, column: pa.ChunkedArray) -> NDArray[Any]:
        if self._tolerant:
            return tolerate(declared, column)
        return conform(self._config.name, declared, column)

    def _tensor(
        self, file: pq.ParquetFile, declared: ColumnConfig, stored: Sequence[Chunk]
    ) -> NDArray[Any]:
        """Return a column of images or arrays, of shape (rows, *shape)."""
        made = np.empty((file.metadata.num_rows, *(declared.shape or ())), dtype_of(declared))
        most = min(_MOST_AT_ONCE, _BLOCK // row_bytes(declared))
        size = max(1, min(most, _rows_at_once(stored, declared.name)))
        start = 0
        for batch in file.iter_batches(size, columns=[declared.name], use_threads=False):
            try:
                block = self._block(declared, batch.column(0))
            except MisfitError as error:
                row = start + error.index + 1
                raise mismatch(self._config.name, declared.name, row, error.reason) from None
            if start + len(block) > len(made):
                raise self._miscounted()
            made[start : start + len(block)] = block
            start += len(block)
        cells = sum(one.values for one in stored if belongs(one.column, [declared.name]))
        whole = self._tolerant or declared.type == "image" or cells == made.size
        if start != len(made) or not whole:  # strictly, every row has as many elements
            raise self._miscounted()
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
        if pa.types.is_nested(kind):
            raise mismatch(self._config.name, name, None, reason)
        if not self._tolerant:
            return  # `conform` checks cells, and knows the row for the error
        try:
            tolerate(declared, pa.array([], kind))
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowInvalid):
            raise mismatch(self._config.name, name, None, reason) from None

    def _check_counts(self, file: pq.ParquetFile) -> None:
        """Refuse a footer that contradicts itself: Arrow believes each of its numbers by itself."""
        footer = file.metadata
        groups = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
        if min(groups, default=0) < 0 or sum(groups) != footer.num_rows:
            raise self._miscounted()

    def _check_footer(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        """Refuse what is too large by the footer's own word, before anything else is read."""
        footer = file.metadata
        said = [one for _, _, one in footer_chunks(file, columns)]
        size = sum(max(0, one.total_uncompressed_size) for one in said)
        if footer.num_rows > self._limits.max_rows or size > self._limits.max_bytes:
            raise too_large(self._config.name)
        check_memory(self._config, columns, footer.num_rows, self._limits.max_bytes)

    def _check_stored(self, file: pq.ParquetFile, stored: Sequence[Chunk]) -> None:
        """Refuse what is too large by its pages, and a footer that names another number of rows."""
        widths = _widths(file)
        size = sum(max(one.size, one.values * widths[one.column]) for one in stored)
        if size > self._limits.max_bytes:
            raise too_large(self._config.name)
        if any(one.flat and one.values != one.rows for one in stored):
            raise self._miscounted()

    def _miscounted(self) -> SecureFlowError:
        return SecureFlowError(
            "dataset_unreadable",
            Text(
                "The Parquet file of dataset {name!r} holds another number of rows than its footer "
                "says.",
                name=self._config.name,
            ),
            "The file is damaged: write it again with the program that made it.",
            {"dataset": self._config.name},
        )

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


def _widths(file: pq.ParquetFile) -> dict[str, int]:
    """Return how many bytes a value of each stored column takes (of a text: its index)."""
    stored = map(file.schema.column, range(len(file.schema)))
    return {one.path: _WIDTHS.get(one.physical_type, max(4, one.length)) for one in stored}


def _rows_at_once(stored: Sequence[Chunk], column: str) -> int:
    """Return how many rows are read at once: each may be all that its column is stored as."""
    largest = max((one.size for one in stored if belongs(one.column, [column])), default=0)
    return int(max(1, _STORED // max(1, largest)))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(test(kind) for test in tests)


def _length(column: pa.ChunkedArray) -> int:
    """Return the bytes of the texts of all rows, as often as they occur."""
    total = 0
    for one in column.chunks:
        if pa.types.is_dictionary(one.type):
            lengths = pc.binary_length(one.dictionary).take(one.indices)
            total += pc.sum(lengths).as_py() or 0
        else:
            total += one.nbytes
    return total


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write out each row's text, in pieces of a bounded size."""
    if not pa.types.is_dictionary(column.type):
        return column
    pieces = []
    for one in column.chunks:
        longest = pc.max(pc.binary_length(one.dictionary)).as_py() or 1
        step = max(1, _DECODED // longest)
        pieces += [one.slice(at, step).dictionary_decode() for at in range(0, len(one), step)]
    return pa.chunked_array(pieces, column.type.value_type)
