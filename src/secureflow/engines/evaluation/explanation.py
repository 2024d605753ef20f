"""One page per evaluation: who could see what, its cost, and the figures so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.evaluation.charges import SPENDING
from secureflow.engines.evaluation.disclosure import attacks, disclosure
from secureflow.kit.canonical import JSON


def explanation(
    spec: EvaluationSpec,
    *,
    accounting: Mapping[str, JSON] | None,
    rounds: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a job, running or ended; see `engines.training.explanation`."""
    return {
        "protection": spec.protection,
        "tee": "",
        "disclosure": disclosure(spec),
        "attacks": attacks(spec),
        **SPENDING.explained(spec, accounting, len(rounds)),
        "dropouts": list(dropouts),
    }
