"""One page per statistics job: who could see what, its cost, attacks stopped, who dropped out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.engines.statistics.disclosure import attacks, disclosure
from secureflow.engines.statistics.spending import spending
from secureflow.kit.canonical import JSON


def explanation(
    spec: StatisticsSpec,
    *,
    accounting: Mapping[str, JSON] | None,
    rounds: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a job, running or ended; see `engines.training.explanation`."""
    last = 1 if rounds else 0
    spent = spending(spec, accounting, last)
    per_round = [{"round": 1, "epsilon": spent["epsilon"]}] if spent and last else []
    return {
        "protection": spec.protection,
        "tee": "",
        "disclosure": disclosure(spec),
        "attacks": attacks(spec),
        "privacy": spent,
        "epsilon_per_round": per_round,
        "rounds": last,
        "dropouts": list(dropouts),
    }
