"""What the pages of a Parquet file say of themselves, before one of them is decompressed.

A file's footer is read first and believed by every reader, but nothing else depends on it: it can
say 1,000 bytes of what are gigabytes. A page's own header cannot: Arrow makes room for as many
bytes as it says, and refuses a page that has another number of them. So the headers are read here,
one after the other, as Arrow does (Thrift's compact protocol; parquet.thrift, `PageHeader`), and
what no writer writes is refused rather than understood in another way than Arrow does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow.parquet as pq

_FIRST, _LARGEST = 1 << 10, 16 << 20
"""Bytes that are read of a header at first, and that it may have (as in Arrow)."""
_PADDING: Final = 100
"""Bytes that old writers left out of a column's size (PARQUET-816)."""
_FIELDS: Final = 100
"""Of a header, with those within."""
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _BINARY, _RECORD = 1, 2, 3, 4, 5, 6, 8, 12
"""Types of the compact protocol."""
_DATA, _DATA_2 = 0, 3
"""Types of pages that hold rows."""
_DELTA_BYTE_ARRAY: Final = 7
"""An encoding that stores what a text shares with the one before it once."""

Fields = dict[int, "int | Fields"]
"""The numbers and records of a record; `{}` stands for what else it has."""


@dataclass(frozen=True)
class Chunk:
    """What one column stores of one group of rows.

    Args:
        column: its name; of a part of a nested one the path (`image.bytes`).
        size: bytes that its pages take decompressed.
        values: how many cells and elements they have, the missing ones too.
        rows: that the group has, as the footer says.
        flat: whether it has one value a row.
        prefixed: whether texts share their beginnings, so that they are longer than is stored.
    """

    column: str
    size: int
    values: int
    rows: int
    flat: bool
    prefixed: bool


def chunks(path: str, file: pq.ParquetFile, columns: Sequence[str]) -> list[Chunk]:
    """Return what columns store, by the headers of their pages.

    Raises:
        OSError: the file cannot be read.
        ValueError: a header is none, or the footer does not fit its schema.
    """
    found = []
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for column, rows, said in footer_chunks(file, columns):
            pages = list(_pages(handle, said))
            found.append(
                Chunk(
                    column.path,
                    sum(one.size for one in pages),
                    sum(one.values for one in pages),
                    rows,
                    flat=not column.max_repetition_level,
                    prefixed=any(one.encoding == _DELTA_BYTE_ARRAY for one in pages),
                )
            )
    finally:
        os.close(handle)
    return found


def footer_chunks(
    file: pq.ParquetFile, columns: Sequence[str]
) -> Iterator[tuple[pq.ColumnSchema, int, pq.ColumnChunkMetaData]]:
    """Yield each chunk of columns: its column, its group's rows, and what the footer says of it.

    Which column it is of tells its place, for Arrow too: the name that stands at it may be any.

    Raises:
        ValueError: a group has not as many columns as the schema.
    """
    footer, schema = file.metadata, file.schema
    wanted = [at for at in range(len(schema)) if belongs(schema.column(at).path, columns)]
    for group in map(footer.row_group, range(footer.num_row_groups)):
        if group.num_columns != len(schema):
            raise ValueError
        for at in wanted:
            yield schema.column(at), group.num_rows, group.column(at)


def belongs(path: str, columns: Sequence[str]) -> bool:
    """Tell whether a stored column is one of these, or a part of a nested one (`image.bytes`)."""
    return path in columns or any(path.startswith(f"{name}.") for name in columns)


@dataclass(frozen=True)
class _Page:
    size: int
    values: int
    encoding: int


def _pages(handle: int, said: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """Yield the pages of a chunk, as far as Arrow reads them."""
    at = said.data_page_offset
    if said.has_dictionary_page and 0 < (said.dictionary_page_offset or 0) < at:
        at = said.dictionary_page_offset
    end, seen = at + said.total_compressed_size + _PADDING, 0
    while seen < said.num_values and at < end:
        header, length = _header(handle, at)
        kind, size, stored = (_number(header, one) for one in (1, 2, 3))
        place, coded = {_DATA: (5, 2), _DATA_2: (8, 4)}.get(kind, (0, 0))
        data: int | Fields | None = header.get(place) if place else {1: 0, coded: 0}
        if not isinstance(data, dict):
            raise ValueError
        values = _number(data, 1)
        seen += values
        yield _Page(max(size, stored), values, _number(data, coded))
        at += length + stored


def _header(handle: int, at: int) -> tuple[Fields, int]:
    """Return the header at a place, and its length."""
    most = _FIRST
    while True:
        data = os.pread(handle, most, at)
        try:
            reader = _Reader(data)
            return reader.record(), reader.at
        except IndexError:
            if len(data) < most or most >= _LARGEST:
                raise ValueError from None
            most *= 8


def _number(fields: Fields, field: int) -> int:
    found = fields.get(field)
    if not isinstance(found, int) or found < 0:
        raise ValueError
    return found


class _Reader:
    """Reads records of the compact protocol, as all writers write them: each field once, in order.

    Raises:
        IndexError: they go on beyond the data.
        ValueError: they are none, or have what no header has.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self._left = _FIELDS

    def record(self) -> Fields:
        """Read a record."""
        found: Fields = {}
        number = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            self._left -= 1
            if not step or self._left < 0:
                raise ValueError
            number += step
            found[number] = self._value(kind)
        return found

    def _value(self, kind: int) -> int | Fields:
        if kind in {_TRUE, _FALSE}:
            return {}
        if kind == _BYTE:
            self._byte()
            return {}
        if kind in {_I16, _I32, _I64}:
            coded = self._varint()
            return (coded >> 1) ^ -(coded & 1) if kind == _I32 and coded < 1 << 32 else {}
        if kind == _BINARY:
            length = self._varint()
            self.at += length
            if self.at > len(self._data):
                raise IndexError
            return {}
        if kind == _RECORD:
            return self.record()
        raise ValueError

    def _varint(self) -> int:
        found = 0
        for shift in range(0, 63, 7):
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise ValueError

    def _byte(self) -> int:
        found = self._data[self.at]
        self.at += 1
        return found
