"""The local validation split: by seed and row position, or by seed and what stands in the row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Of SplitMix64's finaliser (Steele, Lea and Flood 2014)."""


def split_validation(
    rows: int, seed: int, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ascending row indices of the training and the validation part.

    Row i's draw depends only on the seed and i, so rows added later move no earlier one. A silo
    too small to lose a row trains on all of them and validates on none.

    Args:
        rows: number of rows, at least 0.
        seed: the plan's seed.
        share: expected validation share in [0, 0.5].
    """
    draws = np.random.Generator(np.random.PCG64(seed)).random(rows)
    chosen = draws < share
    if chosen.all():
        chosen[:] = False
    (train,), (valid,) = np.nonzero(~chosen), np.nonzero(chosen)
    return train, valid


def split_by_content(
    inputs: NDArray[np.float32], labels: NDArray[np.float32], seed: int, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row indices as `split_validation` does, decided by what stands in the row alone.

    So a row that is removed moves no other one to the other part, wherever it stood: under
    differential privacy a record may change its own part only. Equal rows go together.

    Args:
        inputs: shape (rows, width).
        labels: shape (rows,).
        seed: the plan's seed.
        share: expected validation share in [0, 0.5].
    """
    # Multiply-and-add hashing of vectors (Dietzfelbinger 1996) under the seed's coefficients.
    draws = np.random.Generator(np.random.PCG64(seed))
    mixed = np.zeros(len(labels), np.uint64)
    for column in (*inputs.T, labels):
        shift, factor = draws.integers(0, 1 << 64, 2, np.uint64)
        cells = np.ascontiguousarray(column, "<f4").view("<u4").astype(np.uint64)
        mixed += (cells + shift) * (factor | np.uint64(1))
    for bits, factor in zip((30, 27), _MIXERS, strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(bits))) * factor
    mixed ^= mixed >> np.uint64(31)
    chosen = mixed < np.uint64(int(share * 2.0**64))
    (train,), (valid,) = np.nonzero(~chosen), np.nonzero(chosen)
    return train, valid
