"""The caps of a spec on one party's update: the norm of its change, and its weight in sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing.wiretypes import ROUNDING, rounded_to


def clipped_delta(spec: TrainingSpec, delta: NDArray[Any]) -> NDArray[np.float32]:
    """Return a change of at most the spec's `clip_norm` (L2), float32.

    Slightly below the limit where the wire has another dtype: rounding to it must not raise the
    norm above.
    """
    norm = _norm(delta)
    margin = 0.0 if spec.wire_type == "float32" else 2 * ROUNDING[spec.wire_type]
    limit = spec.limits.clip_norm * (1 - margin)
    scaled = delta if norm <= limit else delta * (limit * (1 - 1e-6) / norm)
    return np.asarray(scaled, np.float32)


def as_sent(spec: TrainingSpec, delta: NDArray[np.float32]) -> NDArray[Any]:
    """Return a clipped change in the dtype in which it travels, no longer than the spec allows."""
    sent = rounded_to(spec.wire_type, delta)
    if spec.wire_type != "float16" or _norm(sent) <= spec.limits.clip_norm:
        return sent
    # Where float16 has its smallest steps, rounding may double a value.
    steps = np.trunc(delta * np.float32(2.0**24)) * np.float32(2.0**-24)
    return rounded_to(spec.wire_type, np.where(np.abs(delta) < 2.0**-14, steps, delta))


def _norm(values: NDArray[Any]) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))


def capped_sums(spec: TrainingSpec, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a party above `max_weight` down to it: its means stay, its influence is capped."""
    share = min(1.0, spec.limits.max_weight / max(float(sums[0]), 1.0))
    return np.asarray(sums * share)
