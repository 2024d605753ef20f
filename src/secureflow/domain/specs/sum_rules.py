"""Contradictions in jobs of families whose update is sums over rows (`families.BY_SUMS`).

Clipping would falsify sums without anybody noticing. So the caps of a spec must hold the longest
update that rows within their bounds can give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.families import BY_SUMS, MAX_RIDGE_INPUTS
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.privacy_hints import BOUNDED
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.sklearn_families import (
    GaussianNbModel,
    KMeansModel,
    MultinomialNbModel,
)
from secureflow.domain.specs.targets import outputs_of
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.kit.text import Text

EMPTY_CLUSTER = 1e-5
"""A cluster with no larger share of the rows is empty: masked sums are that exact."""
DEVIATIONS = 4.0
"""Standard deviations of the noise that are added to noised counts and squares, or told apart."""
_TAIL = 6.0
"""Standard deviations that a number of a party's noise exceeds once in 10^9."""
_LATTICE = 1 << 24
"""Lattice coordinates stay below it (`domain.specs.privacy.MAX_COORDINATE`)."""


def sums_problem(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    """Return the first contradiction of a family by sums, or None."""
    if spec.model.family not in BY_SUMS:
        return None
    problem = _plan(spec, features)
    privacy = spec.privacy
    if privacy is None:
        return problem or _caps(spec, _change(spec, features, _row(spec, features)))
    problem = problem or _private(spec, privacy)
    if problem or privacy.noise != "local" or privacy.noise_multiplier is None:
        return problem
    return _caps(spec, _change(spec, features, _noised(spec, features, privacy)))


def sums_start_problem(spec: TrainingSpec) -> Problem | None:
    """Return why sums cannot start from other ones, or None."""
    if not _once(spec) or not spec.starts_from:
        return None
    field = "resume" if spec.resume else "initial"
    reason = Text("{family} starts from nothing but its sums", family=spec.model.family)
    return field, reason, "Remove it."


def _once(spec: TrainingSpec) -> bool:
    return spec.model.family in BY_SUMS and not isinstance(spec.model, KMeansModel)


def _plan(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    return _schedule(spec) or _inputs(spec, features)


def _schedule(spec: TrainingSpec) -> Problem | None:
    family, plan = spec.model.family, spec.plan
    if _once(spec) and (plan.rounds != 1 or plan.local_epochs != 1):
        reason: str = Text("{family} takes one round of sums", family=family)
        return "plan.rounds", reason, "Set rounds and local_epochs to 1."
    if plan.local_epochs != 1:
        reason = Text("{family} adds up every row once in a round", family=family)
        return "plan.local_epochs", reason, "Set it to 1."
    if _once(spec) and (plan.early_stop or plan.keep):
        return "plan.keep", "there is one model only", "Remove it, and plan.early_stop."
    return None


def _inputs(spec: TrainingSpec, features: FeatureSpec) -> Problem | None:
    family = spec.model.family
    scaled = [one.column for one in features.numeric if one.scale != "bounds"]
    if scaled:
        reason: str = Text("{family} adds up rows that are scaled to their bounds", family=family)
        return f"features.{scaled[0]}.scale", reason, BOUNDED
    if family == "ridge" and features.width > MAX_RIDGE_INPUTS:
        reason = Text("ridge takes up to {most} inputs", most=MAX_RIDGE_INPUTS)
        return "features", reason, "Use the family linear."
    negative = next((one for one in features.numeric if one.bounds[0] < 0), None)
    if isinstance(spec.model, MultinomialNbModel) and negative is not None:
        reason = "multinomial_nb adds up counts, which are never negative"
        return f"features.{negative.column}.bounds", reason, "Use the family gaussian_nb."
    return None


@dataclass(frozen=True)
class _Longest:
    """How long a vector can be.

    Args:
        norm: its L2 norm.
        coordinate: its largest coordinate.
    """

    norm: float
    coordinate: float


def _row(spec: TrainingSpec, features: FeatureSpec) -> _Longest:
    """Return what a row within its bounds can add to the sums; the means are no longer."""
    width = features.width
    most = max(features.weight.bounds[1] if features.weight else 1.0, 1.0)
    if spec.model.family == "ridge":
        # Of one row with inputs u (the intercept's among them) and label z, all within ±1, the
        # length is √(½ ((Σu²)² + Σu⁴) + z² Σu²).
        size = width + 1
        return _Longest(most * math.sqrt(size * size / 2 + 3 * size / 2), most)
    inputs = 2 * width if isinstance(spec.model, GaussianNbModel) else width
    return _Longest(most * math.sqrt(1 + inputs), most)


def _change(spec: TrainingSpec, features: FeatureSpec, means: _Longest) -> _Longest:
    """Return the longest change of the model by means that are no longer than this."""
    if not isinstance(spec.model, KMeansModel):
        return means  # of nothing but zeros
    centres = 2 * math.sqrt(spec.model.clusters * features.width)
    return _Longest(2 * means.norm + centres, 2 * max(means.coordinate, 1.0))


def _noised(spec: TrainingSpec, features: FeatureSpec, privacy: Privacy) -> _Longest:
    """Return how long a party's noised means can be, but for one in a million.

    Its share of the public denominator may be that of a party with all the rows.
    """
    row, parties, numbers = _row(spec, features), len(spec.roster), spec.model_parameters
    rows = max(1, privacy.rows)
    width = privacy.sigma(numbers) * privacy.step * parties / rows / privacy.sampling
    sampled = 1.0 if privacy.sampling == 1.0 else 1.0 + _TAIL / math.sqrt(privacy.sampling * rows)
    most, added = parties * sampled, _added(spec, features, width / math.sqrt(parties))
    return _Longest(
        min(row.norm, privacy.clipping_norm) * most
        + added.norm
        + (math.sqrt(numbers) + _TAIL) * width,
        min(row.coordinate, privacy.clipping_norm) * most + added.coordinate + _TAIL * width,
    )


def _added(spec: TrainingSpec, features: FeatureSpec, width: float) -> _Longest:
    """Return the public amount on noised means (`engines.training.settling`).

    Args:
        spec: the job's.
        features: its features.
        width: the standard deviation of the noise in the mean over the parties.
    """
    model, size = spec.model, features.width + 1
    if model.family == "ridge":
        amount = 2.0 * math.sqrt(size) * width
        return _Longest(amount * math.sqrt(size), amount)
    if isinstance(model, KMeansModel) or spec.privacy is None:
        return _Longest(0.0, 0.0)
    alpha = model.alpha if isinstance(model, MultinomialNbModel) else 0.0
    amount = DEVIATIONS * width + alpha / max(1, spec.privacy.rows)
    cells = features.width * max(outputs_of(features.label), 2)
    return _Longest(amount * math.sqrt(cells), amount)


def _caps(spec: TrainingSpec, longest: _Longest) -> Problem | None:
    family, quantisation = spec.model.family, spec.quantisation
    if spec.limits.clip_norm < longest.norm:
        reason: str = Text(
            "the sums of {family} may be as long as {longest:g}",
            family=family,
            longest=longest.norm,
        )
        return "limits.clip_norm", reason, "Raise it to that: sums must not be clipped."
    if not traits_of(spec).masks:
        return None
    if quantisation.clip < longest.coordinate:
        reason = Text(
            "a mean of {family} may be as large as {most:g}", family=family, most=longest.coordinate
        )
        return "quantisation.clip", reason, "Raise it to that: sums must not be clipped."
    if isinstance(spec.model, KMeansModel) and quantisation.clip > EMPTY_CLUSTER * (
        1 << quantisation.bits
    ):
        reason = "steps of masked sums are so wide that an empty cluster could not be told"
        return "quantisation.bits", reason, "Raise it, or lower quantisation.clip."
    return None


def _private(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    family = spec.model.family
    if privacy.unit == "party":
        reason: str = Text(
            "nothing bounds what a whole party adds to the sums of {family}", family=family
        )
        fitting = {"ridge": "linear", "kmeans": ""}.get(family, "softmax")
        hint: str = "Write `privacy: {unit: record, mechanism: dp-sgd}`."
        if fitting:
            hint = Text(
                "Write `privacy: {{unit: record, mechanism: dp-sgd}}`, or `model: {{family: "
                "{family}}}`.",
                family=fitting,
            )
        return "privacy.unit", reason, hint
    if privacy.local_steps > 1 or (_once(spec) and privacy.sampling < 1.0):
        reason = Text("{family} adds up every record once", family=family)
        return "privacy.sampling", reason, "Write `privacy: {sampling: 1, local_steps: 1}`."
    if privacy.noise != "local" and privacy.rows << privacy.bits > _LATTICE:
        reason = Text(
            "sums of squares of {rows} records could exceed the lattice's 2^24 steps",
            rows=privacy.rows,
        )
        return "privacy.bits", reason, "Lower it, or write `privacy: {noise: local}`."
    return None
