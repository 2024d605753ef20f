"""The differential-privacy part of a job spec, and what contradicts it.

What is promised: changing one *unit* (a record, or everything of one party) changes the
distribution of everything that the job releases by at most (ε, δ). So under this part every
released number is either noised and charged, or public beforehand; a spec that would release
another one (federated moments, validation figures, an early stop that depends on them) is refused
with the reason.

The ε itself does not stand in the spec: every reader computes it from multiplier, sampling rate
and number of releases. `epsilon` is a ceiling that the agents hold it against.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import ConfigDict, Field

from secureflow.domain.budgets import PrivacyUnit

if TYPE_CHECKING:
    from collections.abc import Callable

    from secureflow.domain.specs import TrainingSpec

Placement = Literal["enclave", "shared", "local"]
Problem = tuple[str, str, str]
"""Field, reason, hint."""

MAX_SIGMA: Final = float(1 << 17)
"""Largest standard deviation in lattice steps that noise is drawn with."""
MAX_COORDINATE: Final = (1 << 24) - 1
"""Lattice coordinates are clamped to this: beyond it float32 would round them."""


@dataclass(frozen=True)
class Privacy:
    """How a training job is made differentially private.

    Args:
        unit: whose presence is hidden: one record, or (with a warning) a whole party.
        mechanism: `dp-sgd` clips each record's gradient and samples records (Poisson); `central`
            clips each party's whole update (DP-FedAvg).
        noise: where it is added: once in the `enclave`, `shared` out over the parties under
            masks, or in full by each party on its own (`local`), which alone allows several local
            steps.
        noise_multiplier: z, the noise's standard deviation over the sensitivity. Left out in a
            wish, it is calibrated from `epsilon`; a spec that is signed has it.
        epsilon: ceiling on what the whole job may cost at `delta`, by RDP (`rdp-cks20`).
        delta: δ of every figure of this job; below 1 / units.
        clipping_norm: L2 bound of one record's gradient, or of one party's update.
        sampling: q, the probability with which a record enters a step; 1 is all of them.
        rows: public number of records over all parties: the denominator, never counted.
        local_steps: steps of one round at a party; more than one only with local noise.
        bits: the clipping norm is 2^bits steps of the lattice on which the noise is drawn.
        party_unit_acknowledged: the submitter knows that hiding whole parties costs accuracy and
            protects nobody's records more than that.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
    delta: Annotated[float, Field(ge=1e-15, le=1e-2)]
    clipping_norm: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    unit: PrivacyUnit = "record"
    mechanism: Literal["dp-sgd", "central"] = "dp-sgd"
    noise: Placement = "enclave"
    noise_multiplier: Annotated[float, Field(ge=0.1, le=1e6)] | None = None
    epsilon: Annotated[float, Field(ge=1e-3, le=100.0)] | None = None
    sampling: Annotated[float, Field(ge=1e-6, le=1.0)] = 1.0
    rows: Annotated[int, Field(ge=0, le=1 << 40)] = 0
    local_steps: Annotated[int, Field(ge=1, le=10_000)] = 1
    bits: Annotated[int, Field(ge=4, le=16)] = 10
    party_unit_acknowledged: bool = False

    @property
    def multiplier(self) -> float:
        """Return z of a checked spec."""
        if self.noise_multiplier is None:
            raise AssertionError  # `privacy_problem` refuses such a spec
        return self.noise_multiplier

    @property
    def step(self) -> float:
        """The value of one lattice step."""
        return self.clipping_norm / 2.0**self.bits

    def sigma(self, dimension: int) -> float:
        """Return the noise's standard deviation in lattice steps.

        The sensitivity counts the rounding of both neighbours in: 2^bits + √d steps.
        """
        return self.multiplier * (2.0**self.bits + math.sqrt(dimension))


def privacy_problem(spec: TrainingSpec) -> Problem | None:
    """Return what contradicts the privacy part of a spec, or nothing."""
    privacy = spec.privacy
    if privacy is None:
        return None
    rules: tuple[Callable[[TrainingSpec, Privacy], Problem | None], ...] = (
        _unit_rules,
        _placement_rules,
        _release_rules,
        _range_rules,
    )
    return next((found for rule in rules if (found := rule(spec, privacy))), None)


def _unit_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    if spec.model.family == "rehearsal":
        return "privacy", "a rehearsal touches no data", "Remove it."
    if privacy.unit == "person":
        reason = "a training step clips each record and bounds nobody's number of records"
        return "privacy.unit", reason, "Only statistics jobs hide whole persons."
    wanted = "dp-sgd" if privacy.unit == "record" else "central"
    if privacy.mechanism != wanted:
        reason = f"{privacy.mechanism} bounds another unit than the {privacy.unit}"
        return "privacy.mechanism", reason, f'Use "{wanted}", or change privacy.unit.'
    if privacy.unit == "party":
        return _party_rules(spec, privacy)
    return None


def _party_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    if not privacy.party_unit_acknowledged:
        reason = (
            f"hiding a whole party among {len(spec.roster)} needs noise that usually ruins the "
            "model, and no record is protected more than by that"
        )
        hint = 'Use unit "record", or set privacy.party_unit_acknowledged to true.'
        return "privacy.unit", reason, hint
    if privacy.noise == "local":
        reason = "a party that adds the whole noise itself needs no unit above the record"
        return "privacy.noise", reason, 'Use "enclave".'
    if privacy.sampling < 1.0 or privacy.local_steps > 1:
        reason = "all parties take part in each round, with the plan's local epochs"
        return "privacy.sampling", reason, "Leave sampling and local_steps at 1."
    return None


def _placement_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    if privacy.noise == "enclave" and spec.masked:
        reason = "under masks the enclave sees no sum before the noise"
        return "privacy.noise", reason, 'Use "local", or protection "sealed".'
    if privacy.noise == "shared":
        reason = "noise that the parties share out is not offered by this version's script"
        hint = 'Use "enclave" with protection "sealed", or "local" with any protection.'
        return "privacy.noise", reason, hint
    if privacy.noise != "local" and privacy.local_steps > 1:
        reason = "one noise on the sum covers one clipped gradient per record, so one step a round"
        return "privacy.local_steps", reason, 'Set it to 1, or privacy.noise to "local".'
    if privacy.unit == "record" and spec.plan.local_epochs > 1:
        reason = "several passes over the records would each need their own noise"
        return "plan.local_epochs", reason, "Set it to 1; privacy.local_steps counts steps."
    return None


def _release_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    """Whatever else a job could release without noise."""
    numeric = spec.features.numeric if spec.features else ()
    federated = [feature.column for feature in numeric if feature.scale == "federated"]
    if federated:
        reason = "federated moments are exact sums over the data, released without noise"
        return f"features.{federated[0]}.scale", reason, 'Declare scale "bounds".'
    if spec.plan.early_stop is not None:
        reason = "when to stop would depend on validation figures without noise"
        return "plan.early_stop", reason, "Remove it: the number of rounds is fixed beforehand."
    if spec.plan.validation:
        reason = "validation loss, accuracy and AUC would be released without noise"
        return "plan.validation", reason, "Set it to 0, and measure on data outside the unit."
    if privacy.unit == "record" and not privacy.rows:
        reason = "the denominator must be public; counting the records would release their number"
        return "privacy.rows", reason, "Declare roughly how many records all parties have."
    return None


def _range_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    units = privacy.rows if privacy.unit == "record" else len(spec.roster)
    if privacy.delta * units >= 1.0:
        reason = (
            f"at δ ≥ 1/{units} publishing a whole {privacy.unit} at random would count as private"
        )
        return "privacy.delta", reason, f"Choose it below {1.0 / units:.1e}."
    if privacy.unit == "record" and privacy.sampling * privacy.rows < len(spec.roster):
        reason = "less than one record per party is expected in a step"
        return "privacy.sampling", reason, "Raise it."
    if privacy.noise_multiplier is None:
        reason = "it is neither given nor calibrated from an epsilon"
        return "privacy.noise_multiplier", reason, "Give it, or give privacy.epsilon."
    if privacy.sigma(spec.parameters) > MAX_SIGMA:
        reason = f"with {privacy.bits} bits the noise is wider than 2^17 lattice steps"
        return "privacy.bits", reason, "Lower it, or the noise."
    return None
