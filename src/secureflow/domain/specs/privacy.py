"""The differential-privacy part of a training spec; `training_rules` has its checks.

The guarantee: changing one *unit* (a record, or everything of one party) changes the distribution
of everything that the job releases by at most (ε, δ). So with this part every released number is
either noised and charged, or public beforehand; a spec that would release another one (federated
moments, validation figures without noise of their own, an early stop that depends on them) is
refused with the reason.

The actual ε is not in the spec: every reader computes it from multiplier, sampling rate and number
of releases. `epsilon` is a ceiling that the agents compare it with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.quorum import honest_of

Placement = Literal["enclave", "shared", "local"]

MAX_SIGMA: Final = float(1 << 17)
"""Largest standard deviation in lattice steps that noise is drawn with."""
MAX_COORDINATE: Final = (1 << 24) - 1
"""Lattice coordinates are clamped to this; float32 would round larger ones."""
MIN_SHARE: Final = 3.0
"""Least σ of one party's share, in lattice steps: from there on a sum of discrete Gaussians is
itself a discrete Gaussian up to 1e-37 (`engines.privacy.accounting.sum_gap`)."""
METRIC_BITS: Final = 10
"""A row's largest contribution to a metric's sum is 2^METRIC_BITS steps of the noise lattice."""
METRIC_SENSITIVITY: Final = 2.0 * (1 << METRIC_BITS)
"""L2, in steps: a row changes the count, loss, hits and one bin by at most one each: √4. Sums of
other targets move by less (`engines.training.measures`)."""


@dataclass(frozen=True)
class AdaptiveClipping:
    """The clipping norm follows a quantile of the parties' update norms (Andrew et al. 2021).

    Args:
        quantile: γ, the share of updates to leave unclipped.
        rate: η of the geometric step of the bound in each round.
        bit_noise: σ_b, the noise's standard deviation on the sum of the parties' bits.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    bit_noise: Annotated[float, Field(ge=0.1, le=1e6)] = 1.0


@dataclass(frozen=True)
class Privacy:
    """The differential-privacy settings of a training job.

    Args:
        unit: whose presence is hidden: one record, or (with a warning) a whole party.
        mechanism: `dp-sgd` clips each record's gradient and samples records (Poisson); `central`
            clips each party's whole update (DP-FedAvg).
        noise: where it is added: once in the `enclave`; `shared` among the parties under masks,
            σ/√(t−c) each, so that t−c honest ones add up to σ; or in full by each party (`local`),
            the only mode that allows several local steps.
        noise_multiplier: z, the noise's standard deviation over the sensitivity. If a request omits
            it, it is calibrated from `epsilon`; a signed spec has it.
        epsilon: upper bound on the cost of the whole job at `delta`, by RDP (`rdp-cks20`).
        delta: δ of every figure of this job; below 1 / units.
        clipping_norm: L2 bound of one record's gradient, or of one party's update.
        sampling: q, the probability that a record is in a step's sample; 1 means all records.
        rows: public number of records of all parties: the denominator, never counted.
        local_steps: steps per round at each party; more than one only with local noise.
        bits: the clipping norm is 2^bits steps of the lattice on which the noise is drawn.
        adaptive: for unit `party`: how the clipping norm (then the initial one) adapts.
        metrics_noise: z of the final evaluation: loss, hits and score histograms on the validation
            rows are released once, with this noise. Without it there is no evaluation.
        party_unit_acknowledged: the submitter knows that hiding whole parties costs accuracy and
            gives single records no stronger protection.
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
        """The value of one lattice step; if the clipping norm adapts, in units of that norm."""
        return (1.0 if self.adaptive else self.clipping_norm) / 2.0**self.bits

    def sigma(self, dimension: int) -> float:
        """Return the noise's standard deviation in lattice steps, of a vector of d coordinates.

        The sensitivity includes the rounding of both neighbours: 2^bits + √d steps. If the norm
        adapts, the quantile bit takes its part of z and the update gets the rest: z_Δ = (z⁻² −
        (2σ_b)⁻²)^(−½) (Andrew et al. 2021, Theorem 1).
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
        """Return the part of σ that each of `parties` adds: 1/√(t − c) if it is shared."""
        return 1.0 / math.sqrt(honest_of(parties)) if self.noise == "shared" else 1.0
