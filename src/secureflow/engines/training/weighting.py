"""How much a row counts in training: its weight column times the weight of its class.

Weights multiply a row's loss and are not normalised; a party's share in the mean stays its number
of rows. So FedAvg minimises (1/n)·Σ wᵢ·lossᵢ over all parties' rows, as the pooled training would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import ClassWeights


def row_weights(
    class_weights: ClassWeights | None, labels: NDArray[Any], weights: NDArray[Any] | None
) -> NDArray[Any] | None:
    """Return each row's weight in the dtype of the labels; None if all rows count alike."""
    if class_weights is None:
        return weights
    own = np.asarray(class_weights, labels.dtype)[labels.astype(np.int64)]
    return own if weights is None else np.asarray(own * weights, labels.dtype)
