"""Sums of whole numbers that never wrap around, and sums of their products, exact at any size.

NumPy adds int64 without a word when it overflows. So numbers are added in float64 only where every
partial sum is a whole number that it holds (below 2^53), and otherwise in two halves, each of which
stays in an int64. Products are added as in schoolbook multiplication: in limbs of 20 bits, by
products of matrices of so few rows that float64 holds them exactly.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_LIMB: Final = 20
_ROWS: Final = 1 << 13
"""Rows of a block: 2^13 products of two limbs are at most 2^53."""
_BLOCKS: Final = 1 << 9
"""Blocks whose sums are added in an int64: at most 2^62."""
_EXACT: Final = 1 << 53


class TooLargeError(ValueError):
    """A sum that a masked number does not hold."""


def sums_by(steps: Integers, group: Integers, count: int, most: int) -> Integers:
    """Return the sum of the numbers of each group.

    Args:
        steps: magnitudes up to `most`, (rows,).
        group: of each row, 0 to count − 1.
        count: of groups.
        most: the greatest magnitude of a sum, at most 2^50; of at most 2^26 rows.

    Raises:
        TooLargeError: a sum is greater.
    """
    greatest = max(int(steps.max(initial=0)), -int(steps.min(initial=0)))
    if greatest * len(steps) < _EXACT:
        found = np.bincount(group, steps, minlength=count).astype(np.int64)
    else:
        low = np.zeros(count, np.int64)
        high = np.zeros(count, np.int64)
        np.add.at(low, group, steps & ((1 << _LIMB) - 1))
        np.add.at(high, group, steps >> _LIMB)
        if bool((np.abs(high) > 2 * (most >> _LIMB) + len(steps)).any()):
            raise TooLargeError
        found = (high << _LIMB) + low
    if bool((np.abs(found) > most).any()):
        raise TooLargeError
    return found


def products_of(steps: Integers) -> list[list[int]]:
    """Return Σ over the rows of each two columns' product, as Python's own integers.

    Args:
        steps: magnitudes below 2^60, (rows, columns).
    """
    columns = steps.shape[1]
    greatest = max(int(steps.max(initial=0)), -int(steps.min(initial=0)))
    limbs = max(1, -(-greatest.bit_length() // _LIMB))
    total = np.zeros((columns, columns), object)
    for start in range(0, len(steps), _ROWS * _BLOCKS):
        total = total + _of_blocks(steps[start : start + _ROWS * _BLOCKS], limbs)
    return [[int(one) for one in row] for row in total.tolist()]


def _of_blocks(steps: Integers, limbs: int) -> NDArray[Any]:
    columns = steps.shape[1]
    sums = np.zeros((limbs, limbs, columns, columns), np.int64)
    for start in range(0, len(steps), _ROWS):
        block = steps[start : start + _ROWS]
        parts = [_limb(block, at, limbs) for at in range(limbs)]
        for s, left in enumerate(parts):
            for t, right in enumerate(parts):
                sums[s, t] += (left.T @ right).astype(np.int64)
    total = np.zeros((columns, columns), object)
    for s in range(limbs):
        for t in range(limbs):
            total = total + sums[s, t].astype(object) * (1 << _LIMB * (s + t))
    return total


def _limb(block: Integers, at: int, limbs: int) -> NDArray[np.float64]:
    shifted = block >> (_LIMB * at)
    if at + 1 < limbs:
        shifted = shifted & ((1 << _LIMB) - 1)  # the highest one alone has a sign
    return shifted.astype(np.float64)
