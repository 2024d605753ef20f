"""The local validation split, decided by seed and row position alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
