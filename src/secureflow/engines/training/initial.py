"""The parameters before the first round: the same bits at every party, and in the enclave.

All families start from zeros but `kmeans` (`clusters`) and networks: dense layers start within
±√(6 / (inputs + outputs)) (Glorot and Bengio 2010), intercepts from 0; those of PyTorch's families
as PyTorch starts them (`domain.specs.torch_families`), without PyTorch. They come from the raw
words of PCG64, whose stream NumPy promises (NEP 19), and from correctly rounded arithmetic: no
machine differs.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.targets import outputs_of
from secureflow.domain.specs.torch_families import TORCH_MODELS
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
    words = np.random.PCG64(spec.plan.seed)
    if isinstance(spec.model, TORCH_MODELS) and spec.features is not None:
        features = spec.features
        started = spec.model.started(features.width, features.beside, outputs_of(features.label))
        drawn = [_uniform(words, one.tensor.size, one.limit) for one in started]
        return np.concatenate([part + np.float32(one.value)
                               for part, one in zip(drawn, started, strict=True)])  # fmt: skip
    if spec.model.family not in DRAWN:
        return np.zeros(spec.model_parameters, np.float32)
    limits = (
        math.sqrt(6.0 / sum(one.shape)) if len(one.shape) == 2 else 0.0 for one in spec.tensors
    )
    sizes = (one.size for one in spec.tensors)
    return np.concatenate([_uniform(words, *one) for one in zip(sizes, limits, strict=True)])


def _uniform(words: np.random.PCG64, size: int, limit: float) -> NDArray[np.float32]:
    """Return numbers within ±limit; no word is drawn for zeros."""
    part = np.zeros(size, np.float32)
    for start in range(0, size if limit else 0, _BLOCK):
        block = part[start : start + _BLOCK]
        drawn = words.random_raw(block.size) >> np.uint64(64 - _WORD_BITS)
        block[:] = (drawn.astype(np.float64) * 2.0 ** (1 - _WORD_BITS) - 1.0) * limit
    return part
