"""One page per evaluation: who could see what, its cost, and the figures so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.disclosure import attacks, disclosure
from secureflow.engines.evaluation.spending import epsilon_after, spending
from secureflow.kit.canonical import JSON


def explanation(
    spec: EvaluationSpec,
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
    }
