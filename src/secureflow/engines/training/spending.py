"""The spending of a running or ended job: ε so far and after each round, from one release's curve.

The curve (Rényi divergences of one release) was computed by the accountant when the job was
submitted; composing and converting it is arithmetic, so no accounting library is needed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.privacy.accounting import Conversion, convert, gaussian_curve
from secureflow.engines.training.private import charge, released
from secureflow.kit.canonical import JSON

CONVERSION: Final[Conversion] = "rdp-cks20"
"""The conversion for ε so far: it needs no library and is never below the exact `pld`."""


def epsilon_after(
    spec: TrainingSpec, accounting: Mapping[str, JSON], rounds: int, *, evaluated: bool = False
) -> float:
    """Return ε of the plan's first rounds at its δ (`CONVERSION`), rounded up to 6 digits.

    `evaluated`: with the noised metrics of the final model.
    """
    if spec.privacy is None or not rounds:
        return 0.0
    curve = np.array([np.inf if d is None else d for d in accounting["curve"]], np.float64)
    curve = curve * releases(spec, rounds) * spec.privacy.local_steps
    if evaluated and spec.privacy.metrics_noise is not None:
        curve += gaussian_curve(spec.privacy.metrics_noise)
    spent = convert(curve, spec.privacy.delta, CONVERSION)
    return float(np.ceil(spent * 1e6) / 1e6)


def releases(spec: TrainingSpec, rounds: int) -> int:
    """Return the rounds of a job that so many rounds of its plan take: a tree takes several."""
    if not isinstance(spec.model, XgboostModel) or not rounds:
        return rounds
    return spec.model.levels(rounds)


def spending(
    spec: TrainingSpec, accounting: Mapping[str, JSON] | None, rounds: int
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations; None without a privacy part.

    Args:
        spec: the signed spec.
        accounting: the accountant's answer for the whole plan.
        rounds: the number of the plan's rounds that released a model.
    """
    privacy = spec.privacy
    if privacy is None or accounting is None:
        return None
    complete = rounds == spec.plan.rounds
    return {
        "unit": privacy.unit,
        "mechanism": privacy.mechanism,
        "noise": privacy.noise,
        "noise_multiplier": privacy.multiplier,
        "clipping_norm": privacy.clipping_norm,
        "sampling": privacy.sampling,
        "delta": privacy.delta,
        "rounds": releases(spec, rounds),
        "metrics_noise": privacy.metrics_noise,
        "epsilon": epsilon_after(spec, accounting, rounds, evaluated=True),
        "conversion": CONVERSION,
        # Exact figures were computed for the whole plan; fewer rounds cost less.
        "epsilon_pld": accounting["epsilon"]["pld"] if complete else None,
        "epsilon_planned": dict(accounting["epsilon"]),
        "charge": [mechanism.as_json() for mechanism in charge(spec, releases(spec, rounds))],
        "released": [dict(row) for row in released(spec)],
    }
