"""The order of a party's rows in a round of local training without differential privacy.

A shuffle hides nothing, so it is drawn from what everybody knows: a simulation of a job and the
job itself then go through the same rows in the same order. Noise is another matter: it is drawn
from the party's secret alone (`agent.compute.derivation`).
"""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.canonical import canonical_bytes, sha256

SECRET_ORDER: Final = frozenset({"training/1", "training/2"})
"""Scripts whose parties draw the order from their secret: jobs that began so go on so."""


def public_order(spec: TrainingSpec) -> bool:
    """Tell whether a job's order of rows is drawn from public values."""
    return spec.privacy is None and spec.script not in SECRET_ORDER


def shuffle_seed(spec: TrainingSpec, party: str, stage: str, model: str) -> bytes:
    """Return 32 bytes from the plan's seed, the party's place in the roster and the model.

    The place, not the name: shares that are simulated under other names give the same model.

    Args:
        spec: the job's spec.
        party: a party of its roster.
        stage: the stage of the round.
        model: hex digest of the model from which the round starts.
    """
    place = spec.parties.index(party)
    body = {"v": 1, "use": "order", "seed": spec.plan.seed, "party": place}
    return sha256(canonical_bytes({**body, "stage": stage, "model": model}))
