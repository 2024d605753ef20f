"""One page per preparation job: who could see what, its cost, and every number that was fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.recipes.charges import SPENDING
from secureflow.engines.recipes.disclosure import attacks, disclosure
from secureflow.kit.canonical import JSON


def explanation(
    spec: PreparationSpec,
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
        "fitted": [row for one in rounds for row in one.get("fitted", ())],
    }
