"""One page per preparation job: who could see what, its cost, and every number that was fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.recipes.disclosure import attacks, disclosure
from secureflow.engines.recipes.spending import epsilon_after, spending
from secureflow.kit.canonical import JSON


def explanation(
    spec: PreparationSpec,
    *,
    accounting: Mapping[str, JSON] | None,
    rounds: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a job, running or ended; see `engines.training.explanation`."""
    last = len(rounds)
    spent = spending(spec, accounting, last)
    per_round = [
        {"round": number, "epsilon": epsilon_after(spec, number)} for number in range(1, last + 1)
    ]
    return {
        "protection": spec.protection,
        "tee": "",
        "disclosure": disclosure(spec),
        "attacks": attacks(spec),
        "privacy": spent,
        "epsilon_per_round": per_round if spent else [],
        "rounds": last,
        "dropouts": list(dropouts),
        "fitted": [row for one in rounds for row in one.get("fitted", ())],
    }
