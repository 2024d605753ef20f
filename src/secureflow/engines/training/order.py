"""The order of a party's rows in a round of local training without differential privacy.

By default it follows from the party's secret (`agent.compute.derivation`): nobody else knows which
row is trained on last, and two runs of one job differ. A plan with `order: public` gives that up:
a simulation of the job and the job itself go through the same rows in the same order, and give the
same model. Who submits such a job can aim a round at chosen rows; owners are told so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
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


def orders(plan: TrainingPlan, seed: bytes, rows: int) -> Iterator[NDArray[np.int64]]:
    """Yield the order of the rows for one local epoch after the other.

    A shuffle hides nothing from the party, so it needs reproducibility but no CSPRNG. `draws:
    words` sorts the generator's raw words, whose stream NumPy promises (NEP 19): an agent whose
    NumPy is replaced in the middle of a job makes the same update again. Plans of 0.2.0 keep
    NumPy's own permutation.

    Args:
        plan: the job's.
        seed: 32 bytes.
        rows: their number.
    """
    words = np.random.PCG64(int.from_bytes(seed, "big"))
    shuffles = np.random.Generator(words)
    for _ in range(plan.local_epochs):
        if plan.draws is None:
            yield shuffles.permutation(rows)
        else:
            yield np.argsort(words.random_raw(rows), kind="stable")
