"""What a job of noised sums has cost, as reports and explanations tell it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from secureflow.domain.specs.summed import SummedPrivacy
from secureflow.engines.privacy.accounting import Charge, Conversion, convert, gaussian_curve
from secureflow.kit.canonical import JSON

CONVERSION: Final[Conversion] = "rdp-cks20"
"""The conversion by which ε is shown, alongside the exact `pld`."""


def epsilon_of(privacy: SummedPrivacy | None, charge: Charge) -> float:
    """Return ε of some releases at the job's δ (`CONVERSION`), rounded up to 6 digits.

    Args:
        privacy: the job's; None costs nothing.
        charge: the releases: Gaussian mechanisms of the job's multiplier.
    """
    count = sum(one.count for one in charge)
    if privacy is None or not count:
        return 0.0
    spent = convert(gaussian_curve(privacy.multiplier) * count, privacy.delta, CONVERSION)
    return float(np.ceil(spent * 1e6) / 1e6)


def spending_of(
    privacy: SummedPrivacy,
    contributions: int,
    *,
    charge: Charge,
    accounting: Mapping[str, Any],
    complete: bool,
    rounds: int,
    released: Iterable[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the privacy section of reports and explanations.

    Args:
        privacy: the job's.
        contributions: most rows of a unit that count.
        charge: of the rounds that were opened.
        accounting: the accountant's answer for the whole job.
        complete: whether these are all rounds of the plan.
        rounds: how many were opened.
        released: every number that the job releases, as a row each.
    """
    return {
        "unit": privacy.unit,
        "contributions": contributions,
        "mechanism": "gaussian",
        "noise": privacy.noise,
        "noise_multiplier": privacy.multiplier,
        "delta": privacy.delta,
        "rounds": rounds,
        "epsilon": epsilon_of(privacy, charge),
        "conversion": CONVERSION,
        # Exact figures were computed for the whole plan; fewer rounds cost less.
        "epsilon_pld": accounting["epsilon"]["pld"] if complete else None,
        "epsilon_planned": dict(accounting["epsilon"]),
        "charge": [mechanism.as_json() for mechanism in charge],
        "released": [dict(row) for row in released],
    }
