"""One page per prediction: who could see what of it, and which attacks are stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.prediction.disclosure import attacks, disclosure
from secureflow.kit.canonical import JSON


def explanation(
    spec: PredictionSpec,
    *,
    rounds: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a job, running or ended; see `engines.training.explanation`."""
    return {
        "protection": spec.protection,
        "tee": "",
        "disclosure": disclosure(spec),
        "attacks": attacks(spec),
        "privacy": None,
        "epsilon_per_round": [],
        "rounds": len(rounds),
        "dropouts": list(dropouts),
    }
