"""One page per intersection: who could see what of it, and which attacks are stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.psi import PsiSpec
from secureflow.engines.psi.disclosure import attacks, disclosure
from secureflow.engines.psi.label import label_of
from secureflow.engines.run.labels import label_rows
from secureflow.kit.canonical import JSON


def explanation(
    spec: PsiSpec,
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
        "label": label_rows(label_of(spec)),
        "privacy": None,
        "epsilon_per_round": [],
        "rounds": len(rounds),
        "dropouts": list(dropouts),
    }
