"""The header of a `.npy` file (NumPy's format 1.0 to 3.0), read without evaluating any of it.

NumPy's own reader evaluates the header as Python and may then unpickle objects. Here it is matched
against a pattern, whose numbers are bounded before anything is multiplied or allocated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from secureflow.kit.text import Text

MAX_HEADER: Final = 1 << 16
MAX_DIMENSIONS: Final = 9
"""The rows, and eight dimensions of each."""
_MAGIC: Final = b"\x93NUMPY"
# One blank at most between two parts: the text is collapsed before, or matching could take long.
_ITEM: Final = r"'(?:descr|fortran_order|shape)' ?: ?(?:'[^']*'|True|False|\([0-9, ]*\))"
_HEADER: Final = re.compile(rf"\{{ ?{_ITEM} ?, ?{_ITEM} ?, ?{_ITEM}(?: ?,)? ?\}}")
_DESCR: Final = re.compile(r"'descr' ?: ?'([<>|=]?[a-zA-Z?][0-9]{0,6})'")
_FORTRAN: Final = re.compile(r"'fortran_order' ?: ?(True|False)")
_SHAPE: Final = re.compile(r"'shape' ?: ?\(([0-9, ]*)\)")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


class NpyError(Exception):
    """A file is not an array that is read here; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class NpyHeader:
    """What a header says: the element type, the shape, and where the elements begin."""

    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """How many bytes the whole file must have."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(beginning: bytes) -> NpyHeader:
    """Return the header of an array whose file begins with these bytes.

    Args:
        beginning: of the file, `MAX_HEADER` bytes or all of it.

    Raises:
        NpyError: it is no such file, or an array of Python objects, of records, or in Fortran
            order.
    """
    text, offset = _text(beginning)
    if re.search(r"'descr' ?: ?\[", text):
        raise NpyError("it holds records of several fields; save one array per column")
    if not _HEADER.fullmatch(text):
        raise NpyError("its header is not one that NumPy writes")
    descr, fortran, shape = (one.search(text) for one in (_DESCR, _FORTRAN, _SHAPE))
    if descr is None or fortran is None or shape is None:
        raise NpyError("its header is not one that NumPy writes")
    if fortran[1] == "True":
        raise NpyError("it is in Fortran order; save it with numpy.ascontiguousarray")
    return NpyHeader(_dtype(descr[1]), _shape(shape[1]), offset)


def _text(beginning: bytes) -> tuple[str, int]:
    if not beginning.startswith(_MAGIC) or len(beginning) < 12:
        raise NpyError("it is not a .npy file")
    major, minor = beginning[6], beginning[7]
    if (major, minor) not in {(1, 0), (2, 0), (3, 0)}:
        raise NpyError("its format is of an unknown version")
    width = 2 if major == 1 else 4
    start = 8 + width
    length = int.from_bytes(beginning[8:start], "little")
    if length > MAX_HEADER - start or start + length > len(beginning):
        raise NpyError("its header is cut short or too long")
    try:
        text = beginning[start : start + length].decode("ascii")
    except UnicodeDecodeError:
        raise NpyError("its header is not one that NumPy writes") from None
    return " ".join(text.split()), start + length


def _dtype(descr: str) -> np.dtype:
    kind = descr.lstrip("<>|=")[:1]
    if kind == "O":
        raise NpyError("it holds Python objects, which are never read")
    if kind not in "biufU?":
        raise NpyError(Text("it holds elements of type {descr}, which is not read", descr=descr))
    try:
        found = np.dtype(descr)
    except (TypeError, ValueError):
        raise NpyError("its header names no type of NumPy's") from None
    if found.itemsize == 0:
        raise NpyError("its elements are empty")
    return found


def _shape(listed: str) -> tuple[int, ...]:
    parts = [part.strip() for part in listed.split(",")]
    if parts and not parts[-1]:
        parts.pop()
    if len(parts) > MAX_DIMENSIONS:
        raise NpyError("it has too many dimensions")
    if not parts:
        raise NpyError("it has no rows: it is a single value")
    if not all(_NUMBER.fullmatch(part) for part in parts):
        raise NpyError("its header is not one that NumPy writes")
    return tuple(map(int, parts))
