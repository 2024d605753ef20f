"""Compressed changes of a model: whole numbers of 8 bits with scales, and the largest values alone.

A manifest says how many bytes of each there are, so nothing is allocated for what a sender claims.
Both are read as float32 of the model's length, block by block: whoever folds one checks what it
decodes to (finiteness, norm) as of any other update, and holds no second copy.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.sealing.manifest import Manifest, Tensor
from secureflow.kit.errors import SecureFlowError

Vector = NDArray[np.float32]

GROUP: Final = 1024
"""Values with one scale (`domain.specs.compression` has the same number)."""
_MOST: Final = 127


def int8_manifest(parameters: int, sums: int) -> Manifest:
    """Return the manifest of an update of d values as d codes and their scales, and its sums."""
    scales = Tensor("scales", "f32", (-(-parameters // GROUP),))
    return scales, Tensor("codes", "i8", (parameters,)), Tensor("sums", "f64", (sums,))


def sparse_manifest(kept: int, sums: int) -> Manifest:
    """Return the manifest of an update's `kept` values with their places, and its sums."""
    places = Tensor("places", "u32", (kept,))
    return places, Tensor("values", "f32", (kept,)), Tensor("sums", "f64", (sums,))


def int8_coded(values: Vector) -> tuple[Vector, NDArray[np.int8]]:
    """Return scales and codes of finite values: each is rounded to the next multiple of its scale.

    Args:
        values: float32 (d,).
    """
    groups = -(-len(values) // GROUP)
    padded = np.zeros(groups * GROUP, np.float32)
    padded[: len(values)] = values
    rows = padded.reshape(groups, GROUP)
    scales = (np.abs(rows).max(axis=1) / np.float32(_MOST)).astype(np.float32)
    unit = np.where(scales > 0, scales, np.float32(1))[:, None]
    codes = np.clip(np.rint(rows / unit), -_MOST, _MOST)
    return scales, codes.astype(np.int8).reshape(-1)[: len(values)]


def largest(values: Vector, kept: int) -> tuple[NDArray[np.uint32], Vector]:
    """Return the places of the `kept` largest amounts, in order, and the values there."""
    found = np.argpartition(np.abs(values), len(values) - kept)[len(values) - kept :]
    places = np.sort(found)
    return places.astype("<u4"), np.ascontiguousarray(values[places], "<f4")


class CodedBlocks:
    """Codes and scales, read as float32 block by block.

    Args:
        scales: float32 (⌈d/1024⌉,).
        codes: int8 (d,).
    """

    dtype: Final = np.dtype(np.float32)

    def __init__(self, scales: NDArray[Any], codes: NDArray[Any]) -> None:
        self._scales, self._codes = scales, codes
        self.shape = codes.shape

    def __getitem__(self, part: slice) -> Vector:
        """Return a block, float32."""
        start, stop, _ = part.indices(len(self._codes))
        scales = self._scales[np.arange(start, stop) // GROUP]
        with np.errstate(invalid="ignore", over="ignore"):  # whoever folds it refuses it by name
            return np.asarray(self._codes[start:stop].astype(np.float32) * scales, np.float32)


class SparseBlocks:
    """Values at some places of a vector, zero at all others, read block by block.

    Args:
        length: d.
        places: uint32 (k,).
        values: float32 (k,).

    Raises:
        SecureFlowError: `update_places_wrong` if a place is not in the vector, or not behind the
            one before it: a place that comes twice would count twice.
    """

    dtype: Final = np.dtype(np.float32)

    def __init__(self, length: int, places: NDArray[Any], values: NDArray[Any]) -> None:
        if len(places) and (int(places[-1]) >= length or not (places[1:] > places[:-1]).all()):
            raise SecureFlowError(
                "update_places_wrong",
                "The places of an update's values are not in order, come twice, or are not in the "
                "model.",
                "Its party's agent must have this version.",
            )
        self._places, self._values = places, values
        self.shape = (length,)

    def __getitem__(self, part: slice) -> Vector:
        """Return a block, float32."""
        start, stop, _ = part.indices(self.shape[0])
        # Of the places' own dtype: for another one all of them would be cast, for every block.
        first, end = np.searchsorted(self._places, np.array((start, stop), self._places.dtype))
        block = np.zeros(stop - start, np.float32)
        block[self._places[first:end].astype(np.int64) - start] = self._values[first:end]
        return block


Coded = CodedBlocks | SparseBlocks
