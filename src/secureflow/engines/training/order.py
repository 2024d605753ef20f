"""The order of a party's rows in a round of local training without differential privacy.

By default it follows from the party's secret (`agent.compute.derivation`): nobody else knows which
row is trained on last, and two runs of one job differ. A plan with `order: public` gives that up:
a simulation of the job and the job itself go through the same rows in the same order, and give the
same model. Who submits such a job can aim a round at chosen rows; owners are told so.
"""

from __future__ import annotations

from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.canonical import canonical_bytes, sha256


def public_order(spec: TrainingSpec) -> bool:
    """Tell whether a job's order of rows is drawn from public values."""
    return spec.privacy is None and spec.plan.order == "public"


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
