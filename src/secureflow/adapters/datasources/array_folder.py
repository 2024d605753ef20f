"""Folders of NumPy arrays as rows: `COLUMN.npy` holds a column, its first dimension the rows.

Image and array columns need exactly their declared dtype and shape. Number columns take one
dimension of numbers or texts, categories and texts one of texts or whole numbers; then the rules of
tables hold. Files are read, not mapped: another program could cut a mapped one short, which kills
its reader, or change its rows after they were compared with what was published.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from secureflow.adapters.datasources.commitment import unreadable_folder
from secureflow.adapters.datasources.conform import conform, mismatch
from secureflow.adapters.datasources.npyheader import MAX_HEADER, NpyError, NpyHeader, read_header
from secureflow.adapters.datasources.source import (
    DeclaredSource,
    check_memory,
    row_bytes,
    too_large,
)
from secureflow.adapters.datasources.tensorcells import MisfitError, dtype_of, fitted, tolerated
from secureflow.adapters.datasources.tolerant import tolerate
from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.foldertree import FolderTree
from secureflow.kit.text import Text

_BLOCK = 4 << 20
_WIDEST = 8
"""Bytes of a number: Arrow has no wider ones."""
_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


class ArrayFolderSource(DeclaredSource):
    """A `DataSource` over a folder of `.npy` files."""

    def check(self, columns: Sequence[str]) -> None:
        """See `DataSource.check`."""
        self._rows(columns)

    def read(self, columns: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See `DataSource.read`."""
        rows, held = self._rows(columns)
        if rows > self._limits.max_rows:
            raise too_large(self._config.name)
        check_memory(self._config, columns, rows, self._limits.max_bytes - held)
        return {name: self._column(self._config.column(name), rows) for name in columns}

    def _rows(self, columns: Sequence[str]) -> tuple[int, int]:
        """Return how many rows the columns have, as many in each, and the bytes of their texts."""
        lengths: dict[str, int] = {}
        held = 0
        for name in columns:
            with self._opened(self._config.column(name)) as (_, header):
                lengths[name] = header.shape[0]
                held += header.size if header.dtype.kind == "U" else 0
            if lengths[name] != lengths[columns[0]]:
                reason = Text("it does not have as many rows as {other!r}", other=columns[0])
                raise self._refused(name, reason)
        return (lengths[columns[0]] if columns else 0), held

    @contextmanager
    def _opened(self, declared: ColumnConfig) -> Iterator[tuple[int, NpyHeader]]:
        """Open a column's file behind its checked header."""
        handle = self._handle(declared)
        try:
            size = os.fstat(handle).st_size
            if size > self._limits.max_bytes:
                raise too_large(self._config.name)
            header = read_header(os.pread(handle, MAX_HEADER, 0))
            if problem := _problem(declared, header, size):
                raise self._refused(declared.name, problem)
            os.lseek(handle, header.offset, os.SEEK_SET)
            yield handle, header
        except NpyError as error:
            raise self._refused(declared.name, error.reason) from None
        except OSError:
            raise unreadable_folder(self._config.name) from None
        finally:
            os.close(handle)

    def _handle(self, declared: ColumnConfig) -> int:
        try:
            tree = FolderTree(Path(self._config.path))
        except OSError:
            raise unreadable_folder(self._config.name) from None
        with tree:
            try:
                return tree.open([f"{declared.name}.npy"])
            except OSError:
                reason = "there is no such file in the folder, or it is a link or no regular file"
                raise self._refused(declared.name, reason) from None

    def _column(self, declared: ColumnConfig, rows: int) -> NDArray[Any]:
        with self._opened(declared) as (handle, header):
            if header.shape[0] != rows:  # it changed since it was checked
                raise unreadable_folder(self._config.name)
            if declared.is_tensor:
                return self._tensor(declared, handle, header)
            if header.dtype.kind == "U":
                cells = self._texts(declared, handle, header)
            else:
                whole = np.empty(rows, header.dtype)
                _fill(handle, whole)
                # Arrow has no functions for float16.
                kind = (
                    np.float32
                    if header.dtype.kind == "f" and header.dtype.itemsize == 2
                    else header.dtype.newbyteorder("=")
                )
                cells = pa.chunked_array([pa.array(whole.astype(kind, copy=False))])
        if self._tolerant:
            return tolerate(declared, cells)
        return conform(self._config.name, declared, cells)

    def _tensor(self, declared: ColumnConfig, handle: int, header: NpyHeader) -> NDArray[Any]:
        """Read rows in blocks, each checked before the next: no second copy of all is made."""
        made = np.empty(header.shape, dtype_of(declared))
        step = max(1, _BLOCK // row_bytes(declared))
        block = np.empty((min(step, len(made)), *header.shape[1:]), header.dtype)
        for start in range(0, len(made), step):
            part = block[: len(made) - start]
            _fill(handle, part)
            try:
                fit = tolerated if self._tolerant else fitted
                made[start : start + len(part)] = fit(declared, part)
            except MisfitError as error:
                row = start + error.index + 1
                raise mismatch(self._config.name, declared.name, row, error.reason) from None
        return made

    def _texts(self, declared: ColumnConfig, handle: int, header: NpyHeader) -> pa.ChunkedArray:
        """Return texts, null for the declared missing ones, read in blocks: they are UTF-8 then."""
        width, rows = header.dtype.itemsize // 4, header.shape[0]
        step = max(1, _BLOCK // header.dtype.itemsize)
        codes = np.empty((min(step, rows), width), np.dtype(f"{header.dtype.str[0]}u4"))
        found = []
        for start in range(0, rows, step):
            part = codes[: rows - start]
            _fill(handle, part)
            found.append(pa.array(self._cells(declared, part, header, start), pa.string()))
        return pa.chunked_array(found, pa.string())

    def _cells(
        self, declared: ColumnConfig, codes: NDArray[Any], header: NpyHeader, start: int
    ) -> list[str | None]:
        """Return the texts of a block; code points are checked first."""
        low, high = _SURROGATES
        valid = ((codes <= _LAST) & ~((codes >= low) & (codes <= high))).all(axis=1)
        if not valid.all():
            if not self._tolerant:
                row = start + int(valid.argmin()) + 1
                raise mismatch(self._config.name, declared.name, row, "it is not Unicode text")
            codes[~valid] = 0
        cells: list[str] = codes.view(header.dtype).reshape(-1).tolist()
        missing = set(self._config.missing)
        return [
            None if not known or cell in missing else cell
            for cell, known in zip(cells, map(bool, np.asarray(valid)), strict=True)
        ]

    def _refused(self, column: str, reason: str) -> SecureFlowError:
        return mismatch(self._config.name, column, None, reason, f"{column}.npy")


def _problem(declared: ColumnConfig, header: NpyHeader, size: int) -> str:
    """Return why an array is not the declared column, or ""."""
    if size != header.size:
        return "it is cut short, or longer than its header says"
    return _tensor_problem(declared, header) if declared.is_tensor else _plain(declared, header)


def _tensor_problem(declared: ColumnConfig, header: NpyHeader) -> str:
    if header.dtype.newbyteorder("=") != dtype_of(declared):
        found, wanted = header.dtype.name, dtype_of(declared).name
        return Text("it holds {found}, declared is {wanted}", found=found, wanted=wanted)
    if header.shape[1:] != declared.shape:
        return Text(
            "its rows have the shape {found}, declared is {wanted}",
            found=str(list(header.shape[1:])),
            wanted=str(list(declared.shape or ())),
        )
    return ""


def _plain(declared: ColumnConfig, header: NpyHeader) -> str:
    if len(header.shape) != 1:
        return "it has more than one dimension"
    kinds = {"number": "biufU", "category": "Uiu", "text": "Uiu"}[declared.type]
    known = header.dtype.kind == "U" or header.dtype.itemsize <= _WIDEST
    if header.dtype.kind not in kinds or not known:
        return Text("it holds {found}, no {type}", found=header.dtype.name, type=declared.type)
    return ""


def _fill(handle: int, into: NDArray[Any]) -> None:
    """Read exactly as many bytes as an array has.

    Raises:
        OSError: there are fewer.
    """
    if not into.size:
        return
    rest = memoryview(into.reshape(-1).view(np.uint8).data)
    while rest:
        size = os.readv(handle, [rest[: 1 << 30]])
        if not size:
            raise OSError(0, "the file ends early")
        rest = rest[size:]
