"""The parameters before the first round: the same bits at every party, and in the enclave.

All families start from zeros but `kmeans` (`clusters`) and networks: their layers start from
uniform numbers within ±√(6 / (inputs + outputs)) (Glorot and Bengio 2010), intercepts from 0. They
come from the raw words of PCG64, whose stream NumPy promises (NEP 19), and from correctly rounded
arithmetic: no machine differs.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.clusters import first_state

DRAWN: Final = ("mlp", "mlp_classifier", "mlp_regressor")
_WORD_BITS = 53
_BLOCK = 1 << 18
"""Numbers that are drawn at a time: a large layer takes no more memory than itself."""


def initial_parameters(spec: TrainingSpec) -> NDArray[np.float32]:
    """Return the model's parameters before round 1, float32 (d,), unless the spec names others."""
    if spec.model.family == "kmeans":
        return first_state(spec)
    if spec.model.family not in DRAWN:
        return np.zeros(spec.model_parameters, np.float32)
    words = np.random.PCG64(spec.plan.seed)
    parts = []
    for tensor in spec.tensors:
        part = np.zeros(tensor.size, np.float32)
        if len(tensor.shape) == 2:
            limit = math.sqrt(6.0 / sum(tensor.shape))
            for start in range(0, tensor.size, _BLOCK):
                block = part[start : start + _BLOCK]
                drawn = words.random_raw(block.size) >> np.uint64(64 - _WORD_BITS)
                block[:] = (drawn.astype(np.float64) * 2.0 ** (1 - _WORD_BITS) - 1.0) * limit
        parts.append(part)
    return np.concatenate(parts)
