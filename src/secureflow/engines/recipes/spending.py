"""The spending of a preparation job: ε so far, from how many releases its rounds held."""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.privacy.noisedsums import epsilon_of, spending_of
from secureflow.engines.recipes.charges import charge, released
from secureflow.kit.canonical import JSON


def epsilon_after(spec: PreparationSpec, rounds: int) -> float:
    """Return ε of the job's first rounds at its δ; see `epsilon_of`."""
    return epsilon_of(spec.privacy, charge(spec, rounds)) if rounds else 0.0


def spending(
    spec: PreparationSpec, accounting: Mapping[str, JSON] | None, rounds: int
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations; None without a privacy part.

    Args:
        spec: the signed spec.
        accounting: the accountant's answer for the whole job.
        rounds: how many were opened.
    """
    if spec.privacy is None or accounting is None:
        return None
    return spending_of(
        spec.privacy,
        spec.contributions,
        charge=charge(spec, rounds),
        accounting=accounting,
        complete=rounds == len(schedule(spec).rounds),
        rounds=rounds,
        released=released(spec),
    )
