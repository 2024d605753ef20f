"""The caps of a spec on one party's update: the norm of its change, and its weight in sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing.wiretypes import ROUNDING


def clipped_delta(spec: TrainingSpec, delta: NDArray[Any]) -> NDArray[np.float32]:
    """Return a change of at most the spec's `clip_norm` (L2), float32.

    Slightly below the limit where the wire has another dtype: rounding to it must not raise the
    norm above.
    """
    norm = float(np.linalg.norm(delta.astype(np.float64)))
    margin = 0.0 if spec.wire_type == "float32" else 2 * ROUNDING[spec.wire_type]
    limit = spec.limits.clip_norm * (1 - margin)
    scaled = delta if norm <= limit else delta * (limit * (1 - 1e-6) / norm)
    return np.asarray(scaled, np.float32)


def capped_sums(spec: TrainingSpec, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a party above `max_weight` down to it: its means stay, its influence is capped."""
    share = min(1.0, spec.limits.max_weight / max(float(sums[0]), 1.0))
    return np.asarray(sums * share)
