"""Named tensors as bytes: name, dtype and shape, fixed before anything is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden

DTYPES: Final = ("float32", "float64", "float16", "int64", "int32", "uint8")
MAX_TENSORS: Final = 10_000
MAX_NAME: Final = 128
_MAX_DIMENSIONS: Final = 8


@dataclass(frozen=True)
class TensorLayout:
    """One tensor: its bytes are little-endian and C-contiguous."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return math.prod(self.shape) * self._kind.itemsize

    @property
    def _kind(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    def view(self, octets: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the tensor over these bytes, of which there must be `size`; it is read-only."""
        tensor = octets.view(self._kind).reshape(self.shape)
        tensor.flags.writeable = False
        return tensor

    def octets(self, tensor: NDArray[Any]) -> NDArray[np.uint8]:
        """Return a tensor's bytes.

        Raises:
            ValueError: it has another shape or dtype.
        """
        if tensor.shape != self.shape or tensor.dtype != self._kind:
            message = f"{self.name} is {tensor.dtype} {tensor.shape}"
            raise ValueError(message)
        flat = np.ascontiguousarray(tensor, dtype=self._kind).reshape(-1)
        return flat.view(np.uint8)


def foreign_layout(value: Any, most: int) -> tuple[TensorLayout, ...]:
    """Parse what somebody else says of their tensors, in all at most `most` bytes.

    Raises:
        SecureFlowError: `bundle_output_refused`.
    """
    if not isinstance(value, list) or not 0 < len(value) <= MAX_TENSORS:
        raise _malformed()
    layout = tuple(_one(entry) for entry in value)
    if len({one.name for one in layout}) != len(layout):
        raise _malformed()
    if sum(one.size for one in layout) > most:
        raise _malformed()
    return layout


def _one(entry: Any) -> TensorLayout:
    if not isinstance(entry, list) or len(entry) != 3:
        raise _malformed()
    name, dtype, shape = entry
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or hidden(name):
        raise _malformed()
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _malformed()
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS:
        raise _malformed()
    if not all(type(length) is int and 0 <= length < 1 << 40 for length in shape):
        raise _malformed()
    return TensorLayout(name, dtype, tuple(shape))


def _malformed() -> SecureFlowError:
    return SecureFlowError(
        "bundle_output_refused",
        "What the bundle returned is refused: its tensors have no layout that can be used.",
        "Names of at most 128 characters, dtypes that NumPy and the others know, and fewer bytes.",
    )
