"""The differential-privacy part of a job spec, and what contradicts it.

What is promised: changing one *unit* (a record, or everything of one party) changes the
distribution of everything that the job releases by at most (ε, δ). So under this part every
released number is either noised and charged, or public beforehand; a spec that would release
another one (federated moments, validation figures without noise of their own, an early stop that
depends on them) is refused with the reason.

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
MIN_SHARE: Final = 3.0
"""Least σ of one party's share, in lattice steps: from there on a sum of discrete Gaussians is one
up to 1e-37 (`engines.privacy.accounting.sum_gap`)."""
METRIC_BITS: Final = 10
"""A row's largest share in a metric's sum is 2^METRIC_BITS steps of the lattice of its noise."""
METRIC_SENSITIVITY: Final = 2.0 * (1 << METRIC_BITS)
"""L2, in steps: a row counts once, and moves loss, hits and one bin by at most one each: √4."""


@dataclass(frozen=True)
class AdaptiveClipping:
    """The clipping norm follows a quantile of the parties' update norms (Andrew et al. 2021).

    Args:
        quantile: γ, the share of updates to leave unclipped.
        rate: η of the geometric step that the bound makes each round.
        bit_noise: σ_b, the noise's standard deviation on the sum of the parties' bits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    bit_noise: Annotated[float, Field(ge=0.1, le=1e6)] = 1.0


@dataclass(frozen=True)
class Privacy:
    """How a training job is made differentially private.

    Args:
        unit: whose presence is hidden: one record, or (with a warning) a whole party.
        mechanism: `dp-sgd` clips each record's gradient and samples records (Poisson); `central`
            clips each party's whole update (DP-FedAvg).
        noise: where it is added: once in the `enclave`; `shared` out over the parties under masks,
            σ/√(t−c) each, so that what t−c honest ones add makes up σ; or in full by each party on
            its own (`local`), which alone allows several local steps.
        noise_multiplier: z, the noise's standard deviation over the sensitivity. Left out in a
            wish, it is calibrated from `epsilon`; a spec that is signed has it.
        epsilon: ceiling on what the whole job may cost at `delta`, by RDP (`rdp-cks20`).
        delta: δ of every figure of this job; below 1 / units.
        clipping_norm: L2 bound of one record's gradient, or of one party's update.
        sampling: q, the probability with which a record enters a step; 1 is all of them.
        rows: public number of records over all parties: the denominator, never counted.
        local_steps: steps of one round at a party; more than one only with local noise.
        bits: the clipping norm is 2^bits steps of the lattice on which the noise is drawn.
        adaptive: under unit party, how the clipping norm (then the first one) adapts.
        metrics_noise: z of the final evaluation: loss, hits and score histograms on the validation
            rows are released once, with this noise. Without it nothing is measured.
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
    adaptive: AdaptiveClipping | None = None
    metrics_noise: Annotated[float, Field(ge=0.1, le=1e6)] | None = None

    @property
    def multiplier(self) -> float:
        """Return z of a checked spec."""
        if self.noise_multiplier is None:
            raise AssertionError  # `privacy_problem` refuses such a spec
        return self.noise_multiplier

    @property
    def step(self) -> float:
        """The value of one lattice step; where the clipping norm adapts, in units of that norm."""
        return (1.0 if self.adaptive else self.clipping_norm) / 2.0**self.bits

    def sigma(self, dimension: int) -> float:
        """Return the noise's standard deviation in lattice steps, of a vector of d coordinates.

        The sensitivity counts the rounding of both neighbours in: 2^bits + √d steps. Where the
        norm adapts, the quantile bit takes its part of z and the update gets what is left:
        z_Δ = (z⁻² − (2σ_b)⁻²)^(−½) (Andrew et al. 2021, Theorem 1).
        """
        noise = self.multiplier
        if self.adaptive is not None:
            noise = (noise**-2 - (2 * self.adaptive.bit_noise) ** -2) ** -0.5
        return noise * (2.0**self.bits + math.sqrt(dimension))

    @property
    def bit_sigma(self) -> float:
        """Standard deviation of the noise on the quantile bits' sum, in lattice steps."""
        return self.adaptive.bit_noise * 2.0**self.bits if self.adaptive else 0.0

    @property
    def metrics_sigma(self) -> float:
        """Standard deviation of the noise on metric sums, in steps of their lattice."""
        return (self.metrics_noise or 0.0) * METRIC_SENSITIVITY

    def share(self, parties: int) -> float:
        """Return what part of a σ each of so many parties adds: 1/√(t − c) where it is shared."""
        return 1.0 / math.sqrt(honest(parties)) if self.noise == "shared" else 1.0


def honest(parties: int) -> int:
    """Return t − c: how many honest parties are in any sum that opens (SECURITY.md)."""
    colluders = max(1, -(-parties // 3) - 1)
    return max(3, 2 * parties // 3 + 1) - colluders


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
    if privacy.adaptive is not None:
        reason = "a quantile of the records' gradient norms would be released besides"
        return "privacy.adaptive", reason, 'It is for unit "party"; choose a clipping_norm.'
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
        return "privacy.noise", reason, 'Use "enclave", or "shared" under masks.'
    if privacy.metrics_noise is not None:
        reason = "nothing bounds what a whole party adds to the validation figures"
        return "privacy.metrics_noise", reason, "Remove it, and measure on data outside the unit."
    if privacy.sampling < 1.0 or privacy.local_steps > 1:
        reason = "all parties take part in each round, with the plan's local epochs"
        return "privacy.sampling", reason, "Leave sampling and local_steps at 1."
    adaptive, noise = privacy.adaptive, privacy.noise_multiplier
    if adaptive is not None and noise is not None and 2 * adaptive.bit_noise <= noise:
        reason = f"the quantile bit alone costs more than the multiplier {noise:g} allows"
        return "privacy.adaptive.bit_noise", reason, f"Set it above {noise / 2:g}."
    return None


def _placement_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    if privacy.noise == "enclave" and spec.masked:
        reason = "under masks the enclave sees no sum before the noise"
        return "privacy.noise", reason, 'Use "shared" or "local", or protection "sealed".'
    if privacy.noise == "shared" and not spec.masked:
        reason = "a share of the noise protects a sum only; without masks single updates are opened"
        return "privacy.noise", reason, 'Use "enclave", or protection "secagg".'
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
        reason = "when to stop would depend on each round's validation figures, without noise"
        return "plan.early_stop", reason, "Remove it: the number of rounds is fixed beforehand."
    if spec.plan.validation and privacy.metrics_noise is None:
        reason = "validation loss, accuracy and AUC would be released without noise"
        hint = "Set it to 0 and measure on data outside the unit, or set privacy.metrics_noise."
        return "plan.validation", reason, hint
    if privacy.metrics_noise is not None and not spec.plan.validation:
        reason = "there are no validation rows to measure on"
        return "privacy.metrics_noise", reason, "Set plan.validation above 0, or remove it."
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
    return _lattice_rules(spec, privacy)


def _lattice_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    dimension = spec.model_parameters
    least = MIN_SHARE / privacy.share(len(spec.roster)) if privacy.noise == "shared" else 0.0
    for field, width in (
        ("privacy.bits", privacy.sigma(dimension)),
        ("privacy.bits", privacy.bit_sigma),
        ("privacy.metrics_noise", privacy.metrics_sigma),
    ):
        if width > MAX_SIGMA:
            return field, "the noise is wider than 2^17 lattice steps", "Lower it, or the noise."
        if width and width < least:
            reason = f"a party's share of the noise is narrower than {MIN_SHARE:g} lattice steps"
            return field, reason, "Raise it, or the noise."
    return None
