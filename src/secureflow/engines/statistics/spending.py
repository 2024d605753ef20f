"""The spending of a statistics job: nothing, or everything at once with its one sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.privacy.accounting import Conversion
from secureflow.engines.statistics.charges import charge, released
from secureflow.kit.canonical import JSON

CONVERSION: Final[Conversion] = "rdp-cks20"
"""The conversion by which ε is shown, alongside the exact `pld`."""


def spending(
    spec: StatisticsSpec, accounting: Mapping[str, JSON] | None, rounds: int
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations.

    Args:
        spec: the signed spec.
        accounting: the accountant's answer for the whole job; without it nothing is known.
        rounds: 1 once the sum was opened, otherwise 0.
    """
    if accounting is None:
        return None
    privacy, epsilon = spec.privacy, accounting["epsilon"]
    return {
        "unit": privacy.unit,
        "contributions": spec.contributions,
        "mechanism": privacy.mechanism,
        "noise": privacy.noise,
        "noise_multiplier": privacy.multiplier,
        "library": privacy.library,
        "delta": privacy.delta,
        "rounds": rounds,
        "epsilon": epsilon[CONVERSION] if rounds else 0.0,
        "conversion": CONVERSION,
        "epsilon_pld": epsilon["pld"] if rounds else None,
        "epsilon_planned": dict(epsilon),
        "charge": [mechanism.as_json() for mechanism in charge(spec)] if rounds else [],
        "released": [dict(row) for row in released(spec)],
    }
