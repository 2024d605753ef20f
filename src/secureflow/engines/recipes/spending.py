"""The spending of a preparation job: ε so far, from how many releases its rounds held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.privacy.accounting import Conversion, convert, gaussian_curve
from secureflow.engines.recipes.charges import charge, released
from secureflow.kit.canonical import JSON

CONVERSION: Final[Conversion] = "rdp-cks20"
"""The conversion by which ε is shown, alongside the exact `pld`."""


def epsilon_after(spec: PreparationSpec, rounds: int) -> float:
    """Return ε of the job's first rounds at its δ (`CONVERSION`), rounded up to 6 digits."""
    if spec.privacy is None or not rounds:
        return 0.0
    count = sum(one.count for one in charge(spec, rounds))
    spent = convert(gaussian_curve(spec.privacy.multiplier) * count, spec.privacy.delta, CONVERSION)
    return float(np.ceil(spent * 1e6) / 1e6)


def spending(
    spec: PreparationSpec, accounting: Mapping[str, JSON] | None, rounds: int
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations; None without a privacy part.

    Args:
        spec: the signed spec.
        accounting: the accountant's answer for the whole job.
        rounds: how many were opened.
    """
    privacy = spec.privacy
    if privacy is None or accounting is None:
        return None
    complete = rounds == len(schedule(spec).rounds)
    return {
        "unit": privacy.unit,
        "contributions": spec.contributions,
        "mechanism": "gaussian",
        "noise": privacy.noise,
        "noise_multiplier": privacy.multiplier,
        "delta": privacy.delta,
        "rounds": rounds,
        "epsilon": epsilon_after(spec, rounds),
        "conversion": CONVERSION,
        # Exact figures were computed for the whole plan; fewer rounds cost less.
        "epsilon_pld": accounting["epsilon"]["pld"] if complete else None,
        "epsilon_planned": dict(accounting["epsilon"]),
        "charge": [mechanism.as_json() for mechanism in charge(spec, rounds)],
        "released": [dict(row) for row in released(spec)],
    }
