"""What the points of a sweep have cost together: ε by composition of their Rényi curves.

The curve of one release at each point was computed by the accountant when the sweep was submitted
(`accounting`: `quotes`, and for each point which of them is its own), so composing and converting
them is arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.privacy.accounting import ORDERS, convert, gaussian_curve
from secureflow.engines.training.private import released
from secureflow.engines.training.spending import CONVERSION, releases
from secureflow.kit.canonical import JSON


def quote_of(accounting: Mapping[str, Any] | None, number: int) -> Mapping[str, JSON] | None:
    """Return the accountant's answer for a point (from 1); None without differential privacy."""
    if accounting is None:
        return None
    found: Mapping[str, JSON] = accounting["quotes"][accounting["points"][number - 1]]
    return found


def spending(
    spec: SweepSpec, accounting: Mapping[str, Any] | None, points: Sequence[Mapping[str, JSON]]
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations; None without differential privacy.

    Args:
        spec: the signed spec.
        accounting: the accountant's answers.
        points: the rows of the points so far. One that failed counts with all its planned rounds:
            nobody tells the centre which of them read rows.
    """
    privacy = spec.privacy
    if privacy is None or accounting is None:
        return None
    complete = len(points) == len(spec.points) and all(
        row.get("rounds") == spec.trainings[row["point"] - 1].plan.rounds for row in points
    )
    return {
        "unit": privacy.unit,
        "mechanism": None if spec.training.privacy is None else spec.training.privacy.mechanism,
        "noise": privacy.noise,
        "noise_multiplier": None,
        "delta": privacy.delta,
        "epsilon": _epsilon(spec, accounting, points),
        "conversion": CONVERSION,
        "epsilon_pld": accounting["epsilon"]["pld"] if complete else None,
        "epsilon_planned": dict(accounting["epsilon"]),
        "released": [dict(row) for row in released(spec.training)],
    }


def _epsilon(
    spec: SweepSpec, accounting: Mapping[str, Any], points: Sequence[Mapping[str, JSON]]
) -> float:
    """Return ε of the points at the sweep's δ, rounded up to 6 digits."""
    total = np.zeros(len(ORDERS))
    for row in points:
        number = row["point"]
        training, quote = spec.trainings[number - 1], quote_of(accounting, number)
        rounds = training.plan.rounds if row.get("rounds") is None else row["rounds"]
        if training.privacy is None or quote is None or not rounds:
            continue
        curve = np.array([np.inf if one is None else one for one in quote["curve"]], np.float64)
        total += curve * releases(training, rounds) * training.privacy.local_steps
        if training.privacy.metrics_noise is not None:
            total += gaussian_curve(training.privacy.metrics_noise)
    if spec.privacy is None or not total.any():
        return 0.0
    return float(np.ceil(convert(total, spec.privacy.delta, CONVERSION) * 1e6) / 1e6)
