"""Blocks of rows of an image or array column, fitted to the declared dtype and bounds.

Strictly, the first row that does not fit is an error; tolerantly, each element counts by the rules
of `tolerant`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.schemas import ColumnConfig
from secureflow.kit.text import Text


class MisfitError(Exception):
    """The row at this index of a block does not fit; `reason` says why, and quotes no value."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index
        self.reason = reason


def dtype_of(declared: ColumnConfig) -> np.dtype:
    """Return the dtype of a column's elements in memory."""
    return np.dtype(declared.dtype or "uint8")


def blank(declared: ColumnConfig) -> NDArray[Any]:
    """Return what a row counts as that cannot be read: zeros, or the bound nearest to zero."""
    zeros = np.zeros(declared.shape or (), dtype_of(declared))
    return zeros if declared.bounds is None else np.clip(zeros, *_ends(declared))


def fitted(declared: ColumnConfig, block: NDArray[Any]) -> NDArray[Any]:
    """Return a block of shape (rows, …) in the declared dtype.

    Raises:
        MisfitError: for the first row with an element that is not finite, not whole, or outside of
            dtype or bounds.
    """
    flat = block.reshape(len(block), -1)
    target = dtype_of(declared)
    if flat.dtype.kind == "f":
        _require(np.isfinite(flat), "it holds a value that is not finite")
        if target.kind != "f":
            _require(np.floor(flat) == flat, "it holds a value that is not whole")
    low, high = _range(target, flat.dtype)
    if not declared.clip:
        beyond = Text("it holds a value that {dtype} does not hold", dtype=target.name)
        _require((flat >= low) & (flat <= high), beyond)
    made = _cast(flat, low, high, target)
    if declared.clip:
        made = np.clip(made, *_ends(declared))
    elif declared.bounds:
        least, most = _ends(declared)
        reason = Text(
            "it holds a value outside [{low:g}, {high:g}]",
            low=declared.bounds[0],
            high=declared.bounds[1],
        )
        _require((made >= least) & (made <= most), reason)
    return made.reshape(block.shape)


def tolerated(declared: ColumnConfig, block: NDArray[Any]) -> NDArray[Any]:
    """Return a block as `fitted` does, with the rules of `tolerant` instead of errors."""
    target = dtype_of(declared)
    found: NDArray[Any] = block
    if found.dtype.kind == "f":
        found = np.where(np.isnan(found), 0, found)
        if declared.bounds is None:
            found = np.where(np.isinf(found), 0, found)
        if target.kind != "f":
            found = np.rint(found)
    made = _cast(found, *_range(target, found.dtype), target)
    if declared.bounds is not None:
        made = np.clip(made, *_ends(declared))
    return made


def _cast(found: NDArray[Any], low: Any, high: Any, target: np.dtype) -> NDArray[Any]:
    if found.dtype == target:
        return found
    made: NDArray[Any] = np.clip(found, low, high).astype(target)
    return made


def _require(holds: NDArray[np.bool_], reason: str) -> None:
    rows = holds.all(axis=1)
    if not rows.all():
        raise MisfitError(int(rows.argmin()), reason)


def _ends(declared: ColumnConfig) -> tuple[Any, Any]:
    """Return the bounds as the column's dtype has them."""
    low, high = declared.bounds or (0.0, 0.0)
    of = dtype_of(declared).type
    return (of(low), of(high)) if dtype_of(declared).kind == "f" else (of(int(low)), of(int(high)))


def _range(target: np.dtype, source: np.dtype) -> tuple[Any, Any]:
    """Return the smallest and largest element of `source` that `target` holds."""
    if target.kind == "f":
        info = np.finfo(target)
        return _clipped(float(info.min), float(info.max), source)
    whole = np.iinfo(target)
    return _clipped(int(whole.min), int(whole.max), source)


def _clipped(low: float, high: float, source: np.dtype) -> tuple[Any, Any]:
    """Return an interval's ends in a dtype, moved inwards where it does not hold them exactly."""
    if source.kind != "f":
        whole = np.iinfo(source) if source.kind != "b" else None
        least, most = (0, 1) if whole is None else (int(whole.min), int(whole.max))
        of = np.dtype("uint8" if whole is None else source).type
        return of(min(max(int(low), least), most)), of(max(min(int(high), most), least))
    with np.errstate(over="ignore"):
        first, last = source.type(low), source.type(high)
    if float(first) < low:  # as Python's numbers, which are compared exactly
        first = np.nextafter(first, source.type(np.inf))
    if float(last) > high:
        last = np.nextafter(last, source.type(-np.inf))
    return first, last
