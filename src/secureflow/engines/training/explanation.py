"""One page per job: who could see what, its cost, the attacks stopped, who dropped out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.engines.training.spending import epsilon_after, spending
from secureflow.kit.canonical import JSON


def explanation(
    spec: TrainingSpec,
    *,
    tee: str,
    accounting: Mapping[str, JSON] | None,
    rounds: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a job, running or ended.

    Args:
        spec: the signed spec.
        tee: the verdict as the agents saw it; empty while there is none.
        accounting: the accountant's answer for the whole plan, under differential privacy.
        rounds: the journal's events of rounds that released a model, in order.
        dropouts: the journal's events of who dropped out of which round, and why.
    """
    numbers = [int(row["round"]) for row in rounds]
    last = max(numbers, default=0)
    per_round = [
        {"round": number, "epsilon": epsilon_after(spec, accounting, number)}
        for number in numbers
        if accounting is not None
    ]
    return {
        "protection": spec.protection,
        "tee": tee,
        "disclosure": disclosure(spec, tee),
        "attacks": attacks(spec, tee),
        "privacy": spending(spec, accounting, last),
        "epsilon_per_round": per_round,
        "rounds": last,
        "dropouts": list(dropouts),
    }
