"""What to write in a job file that asks for differential privacy and contradicts itself.

A hint has the lines themselves, as YAML between backticks, and never some that another rule of the
same job refuses: whoever follows them, one after the other, comes to a job that is accepted.
"""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.bundle_family import BundleModel, paced_seconds
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.sklearn_families import TRAINED
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import TREES
from secureflow.kit.text import Joined, Text

UNMEASURED: Final = "Write `plan: {validation: 0}`, and measure on data outside the unit."
"""Of jobs whose figures nothing bounds."""
BOUNDED: Final = "Write `scale: bounds` beside the bounds of each number."
"""Of jobs that would scale by exact sums over the rows."""


def units_of(spec: TrainingSpec) -> tuple[str, ...]:
    """Return the units that jobs of a spec's family can hide."""
    family = spec.model.family
    if family == "bundle" or family in TRAINED:
        return ("party",)
    return ("record",) if family in BY_SUMS or family == TREES else ("record", "party")


def whole_party(spec: TrainingSpec) -> str:
    """Return all lines of a job that hides whole parties; code must also end in time."""
    lines: str = _whole_party(spec)
    if spec.features is not None and spec.features.federated:
        lines = Joined(" ", [lines, BOUNDED])
    if isinstance(spec.model, BundleModel):
        seconds, patience = spec.model.seconds, spec.limits.patience_seconds
        beyond = paced_seconds(spec.parameters)
        if seconds + beyond > patience:
            return Joined(" ", [lines, in_time(seconds, patience, beyond)])
    return lines


def _whole_party(spec: TrainingSpec) -> str:
    return Text(
        "Write `privacy: {{unit: party, mechanism: central, noise: {noise}, "
        "party_unit_acknowledged: true}}` beside delta and epsilon, and `plan: {{validation: 0}}`: "
        "the agent itself clips the whole change, and nothing else is released.",
        noise=noise_of_sums(spec),
    )


def noise_of_sums(spec: TrainingSpec) -> str:
    """Return where noise is added once to a sum, under a spec's protection."""
    return "shared" if traits_of(spec).masks else "enclave"


def another_mechanism(spec: TrainingSpec, wanted: str) -> str:
    """Return the line for a mechanism that does not bound the unit."""
    if units_of(spec) == ("party",):
        return whole_party(spec)
    if units_of(spec) == ("record",):
        return Text("Write `privacy: {{mechanism: {wanted}}}`.", wanted=wanted)
    other = "record" if wanted == "central" else "party"
    return Text(
        "Write `privacy: {{mechanism: {wanted}}}`, or `privacy: {{unit: {other}}}`.",
        wanted=wanted,
        other=other,
    )


def acknowledged(spec: TrainingSpec) -> str:
    """Return the line for a unit that people must want."""
    if "record" in units_of(spec):
        return (
            "Write `privacy: {party_unit_acknowledged: true}` if that is meant, else "
            "`privacy: {unit: record, mechanism: dp-sgd}`."
        )
    return Text(
        "Write `privacy: {{party_unit_acknowledged: true}}` if that is meant: jobs of the family "
        "{family} hide nothing else.",
        family=spec.model.family,
    )


def unmasked(unit: str) -> str:
    """Return the line for noise in the enclave, which sees no sum under masks."""
    if unit == "party":
        return "Write `privacy: {noise: shared}`, or `protection: sealed`."
    return "Write `privacy: {noise: shared}` or `privacy: {noise: local}`, or `protection: sealed`."


def in_time(seconds: int, patience: float, beyond: int) -> str:
    """Return the line for code that takes longer than a round waits for it.

    Args:
        seconds: that the code may take.
        patience: of the job.
        beyond: `paced_seconds`.
    """
    most, least = int(patience) - beyond, seconds + beyond
    if most < 1:
        return Text("Write `limits: {{patience_seconds: {least}}}` or more.", least=least)
    return Text(
        "Write `model: {{seconds: {most}}}` or less, or `limits: {{patience_seconds: {least}}}` or "
        "more.",
        most=most,
        least=least,
    )
