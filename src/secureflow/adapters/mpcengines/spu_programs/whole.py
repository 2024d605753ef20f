"""Numbers as the ring modulo 2^64 takes them: whole ones, and multiples of 2^-18.

SPU itself cuts fractions off towards zero, takes NaN for 0 and numbers that are too large for the
largest, without a word (`libspu/core/encoding.cc`). So what it gets is checked and rounded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import RefusedError

Array = NDArray[Any]
Shapes = Sequence[Mapping[str, tuple[int, ...]]]

MOST: Final = 2.0**53
"""Above it a float64 skips numbers; differences stay far below the ring's 2^63."""
MAX_DECIMALS: Final = 9
FRACTION_BITS: Final = 18


def decimals(parameters: Mapping[str, Any]) -> int:
    """Return how many decimals count.

    Raises:
        RefusedError: `parameter_wrong`.
    """
    told = parameters.get("decimals", 0)
    if type(told) is not int or not 0 <= told <= MAX_DECIMALS:
        raise RefusedError("parameter_wrong")
    return told


def whole(array: Array, parameters: Mapping[str, Any]) -> Array:
    """Return numbers times 10^decimals, rounded.

    Raises:
        RefusedError: `ring_overflow` or `not_finite`, with the first position, from 1.
    """
    scaled = np.asarray(array, np.float64) * 10.0 ** decimals(parameters)
    at_fault(~np.isfinite(scaled), "not_finite")
    at_fault(np.abs(scaled) > MOST, "ring_overflow")
    exact: Array = np.rint(scaled).astype(np.int64)
    if array.dtype.kind == "i":  # what float64 had rounded
        exact = np.asarray(array, np.int64) * 10 ** decimals(parameters)
    return exact


def on_grid(array: Array | float) -> Array:
    """Return the nearest multiples of 2^-18, which float64 and the ring both hold exactly."""
    rounded: Array = np.ldexp(np.rint(np.ldexp(array, FRACTION_BITS)), -FRACTION_BITS)
    return rounded


def at_fault(wrong: NDArray[np.bool_], reason: str) -> None:
    """Refuse an input that is wrong somewhere, naming the first row and column, from 1."""
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        facts = {name: int(one) + 1 for name, one in zip(("row", "column"), place, strict=False)}
        raise RefusedError(reason, **facts)


def bringing(shapes: Shapes, name: str) -> list[int]:
    """Return the places of those that bring an input, all of one length, two at least.

    Raises:
        RefusedError: `lengths_differ`, `too_few_inputs`.
    """
    places = [place for place, one in enumerate(shapes) if name in one]
    if len(places) < 2:
        raise RefusedError("too_few_inputs")
    lengths = [shapes[place][name][0] for place in places]
    for place, length in zip(places, lengths, strict=True):
        if length != lengths[0]:
            raise RefusedError("lengths_differ", peer=place, first=lengths[0], other=length)
    return places
