"""Footers of Parquet files, changed as a hostile writer does: Thrift's compact protocol."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Struct = list[list[Any]]
"""The fields of a record: [number, type, value] each."""
ROWS, GROUPS = 3, 4
"""Of a file."""
CHUNKS, GROUP_ROWS = 1, 3
"""Of a group of rows."""
META = 3
"""Of a chunk."""
ENCODINGS, PATH, VALUES, UNCOMPRESSED, COMPRESSED = 2, 3, 5, 6, 7
"""Of what a chunk says of itself."""


def edit(path: Path, change: Callable[[Struct], None]) -> None:
    """Write a file's footer again, changed."""
    data = path.read_bytes()
    (size,) = struct.unpack("<I", data[-8:-4])
    footer, _ = _struct(data[-8 - size : -8], 0)
    change(footer)
    made = _written(12, footer)
    path.write_bytes(data[: -8 - size] + made + struct.pack("<I", len(made)) + b"PAR1")


def get(record: Struct, number: int) -> Any:
    """Return a field's value; of a list its elements."""
    (found,) = (value for at, _, value in record if at == number)
    return found[1] if isinstance(found, tuple) else found


def put(record: Struct, number: int, value: Any) -> None:
    """Set a field that is there."""
    (field,) = (one for one in record if one[0] == number)
    field[2] = (field[2][0], value) if isinstance(field[2], tuple) else value


def chunks(footer: Struct, column: str = "") -> Iterator[Struct]:
    """Yield what each chunk of a column, or of all, says of itself."""
    for group in get(footer, GROUPS):
        for chunk in get(group, CHUNKS):
            if column in {"", get(get(chunk, META), PATH)[0].decode()}:
                yield get(chunk, META)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        found |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return found, at


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in {1, 2}:
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in {4, 5, 6}:
        found, at = _varint(data, at)
        return (found >> 1) ^ -(found & 1), at
    if kind == 8:
        size, at = _varint(data, at)
        return data[at : at + size], at + size
    if kind == 9:
        return _list(data, at)
    assert kind == 12, kind
    return _struct(data, at)


def _list(data: bytes, at: int) -> tuple[Any, int]:
    size, kind, at = data[at] >> 4, data[at] & 15, at + 1
    if size == 15:
        size, at = _varint(data, at)
    found = []
    for _ in range(size):
        one, at = _value(data, at, kind)
        found.append(one)
    return (kind, found), at


def _struct(data: bytes, at: int) -> tuple[Struct, int]:
    found: Struct = []
    number = 0
    while data[at]:
        step, kind, at = data[at] >> 4, data[at] & 15, at + 1
        if not step:
            coded, at = _varint(data, at)
            number = (coded >> 1) ^ -(coded & 1)
        number += step
        value, at = _value(data, at, kind)
        found.append([number, kind, value])
    return found, at + 1


def _packed(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


def _written(kind: int, value: Any) -> bytes:
    if kind in {1, 2}:
        return b""
    if kind == 3:
        return bytes([value])
    if kind in {4, 5, 6}:
        return _packed(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind == 8:
        return _packed(len(value)) + bytes(value)
    if kind == 9:
        of, elements = value
        head = bytes([15 << 4 | of]) + _packed(len(elements))
        return head + b"".join(_written(of, one) for one in elements)
    made, before = bytearray(), 0
    for number, of, one in value:
        assert 0 < number - before < 16
        made.append((number - before) << 4 | ((1 if one else 2) if of in {1, 2} else of))
        made += _written(of, one)
        before = number
    return bytes([*made, 0])
