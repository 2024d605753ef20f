"""How the others judge a model: the mean over the rows of everybody but oneself.

Every party brings the same number of rows, so each counts alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secureflow.engines.contribution.shapley import Floats


def others(values: Sequence[float] | Floats) -> Floats:
    """Return for each party the mean of the others' values, float64 (n,).

    Args:
        values: what the model is worth on each party's rows; at least two. A party's own value
            enters its entry in no way, not even by rounding.
    """
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        raise ValueError("one party alone has no others")
    return np.array([np.delete(array, own).mean() for own in range(len(array))])
