"""One page per computation among parties: who could see what, its cost, which attacks it stops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.charges import SPENDING
from secureflow.engines.mpc.disclosure import attacks, disclosure
from secureflow.engines.mpc.sections import program_of
from secureflow.kit.canonical import JSON


def explanation(
    spec: MpcSpec,
    *,
    accounting: Mapping[str, JSON] | None,
    rounds: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a job, running or ended; see `engines.training.explanation`."""
    return {
        "protection": spec.protection,
        "tee": "",
        "program": program_of(spec),
        "disclosure": disclosure(spec),
        "attacks": attacks(spec),
        **_spent(spec, accounting, len(rounds)),
        "dropouts": list(dropouts),
    }


def _spent(
    spec: MpcSpec, accounting: Mapping[str, JSON] | None, rounds: int
) -> dict[str, JSON]:  # fmt: skip
    """Return what it cost; an engine's program costs no ε, however many attempts it took."""
    if spec.masked:
        return SPENDING.explained(spec, accounting, rounds)
    return {"privacy": None, "epsilon_per_round": [], "rounds": rounds}
