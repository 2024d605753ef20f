"""The local validation split: by seed and row position, or by seed and the row's content."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Constants of SplitMix64's finaliser (Steele, Lea and Flood 2014)."""


def split_validation(
    rows: int, seed: int, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ascending row indices of the training and the validation part.

    Row i's draw depends only on the seed and i, so rows added later move no earlier one. A silo
    that is too small to spare a row trains on all of them and validates on none.

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
    """Return row indices as `split_validation` does, decided only by the row's content.

    So removing a row, wherever it is, moves no other one to the other part: under
    differential privacy a record may only change its own part. Equal rows stay together.

    Args:
        inputs: shape (rows, width).
        labels: shape (rows,).
        seed: the plan's seed.
        share: expected validation share in [0, 0.5].
    """
    chosen = chosen_by_content(inputs, labels, seed, share)
    (train,), (valid,) = np.nonzero(~chosen), np.nonzero(chosen)
    return train, valid


def chosen_by_content(
    inputs: NDArray[np.float32], labels: NDArray[np.float32], seed: int, share: float
) -> NDArray[np.bool_]:
    """Tell which rows go to the validation part; arguments as in `split_by_content`.

    A row's answer depends only on that row, so this can be called for a few rows at a time.
    """
    # Multiply-and-add hashing of vectors (Dietzfelbinger 1996) under the seed's coefficients.
    draws = np.random.Generator(np.random.PCG64(seed))
    coefficients = draws.integers(0, 1 << 64, (inputs.shape[1] + 1, 2), np.uint64)
    shifts, factors = coefficients[:, 0], coefficients[:, 1] | np.uint64(1)
    cells = np.column_stack([inputs, labels]).astype("<f4").view("<u4").astype(np.uint64)
    mixed = ((cells + shifts) * factors).sum(axis=1, dtype=np.uint64)
    for bits, factor in zip((30, 27), _MIXERS, strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(bits))) * factor
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed < np.uint64(int(share * 2.0**64)))
