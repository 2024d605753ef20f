"""Changes of a model in fewer bits: float16 and bfloat16, rounded by a party, widened by the fold.

NumPy has no bfloat16: it is the upper half of a float32, kept as a whole number of 16 bits. It
widens exactly, so the sum in fixed point is that of what the parties sent; what they lose is one
rounding of each value (2^-11 of it in float16, 2^-8 in bfloat16).
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

WireType = Literal["float32", "float16", "bfloat16", "int64"]

CODES: Final[dict[str, str]] = {
    "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int64": "i64",
}  # fmt: skip
"""The dtype of a manifest for each."""
BYTES: Final[dict[str, int]] = {"float32": 4, "float16": 2, "bfloat16": 2, "int64": 8}
DTYPES: Final[dict[str, str]] = {
    "float32": "<f4", "float16": "<f2", "bfloat16": "<u2", "int64": "<i8",
}  # fmt: skip
"""NumPy's dtype of each in a file; bfloat16 as its bits. `int64` is of sums, not of changes."""
ROUNDING: Final[dict[str, float]] = {
    "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8, "int64": 0.0,
}  # fmt: skip
"""The largest relative rounding of a value (float16: of one that is not subnormal)."""


def rounded_to(wire: WireType, values: NDArray[np.float32]) -> NDArray[Any]:
    """Return finite values in a dtype of the wire; bfloat16 as its 16 bits.

    float16 is limited to its finite range first.
    """
    if wire == "float32":
        return np.ascontiguousarray(values, "<f4")
    if wire == "float16":
        return np.clip(values, -65504.0, 65504.0).astype("<f2")
    bits = np.ascontiguousarray(values, "<f4").view("<u4").astype(np.uint64)
    # Half to even: add 0x7FFF and the lowest bit that stays, but not up to infinity.
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where((rounded & 0x7FFF) == 0x7F80, bits >> 16, rounded).astype("<u2")


def widened(wire: str, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return what `rounded_to` made as float32, exactly."""
    if wire == "bfloat16":
        return np.asarray((values.astype("<u4") << 16).view("<f4"))
    with np.errstate(invalid="ignore"):  # a NaN is refused by whoever folds it
        return values.astype(np.float32)


class WidenedBlocks:
    """Values of the wire that are read as float32, block by block: no second copy is held.

    Args:
        wire: their dtype.
        values: the received ones, shape (d,).
    """

    dtype: Final = np.dtype(np.float32)

    def __init__(self, wire: str, values: NDArray[Any]) -> None:
        self._wire, self._values = wire, values
        self.shape = values.shape

    def __getitem__(self, part: slice) -> NDArray[np.float32]:
        """Return a block, float32."""
        return widened(self._wire, self._values[part])
