"""Contradictions in the spec of a training job, its privacy part included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secureflow.domain.bounds import bounds_problem
from secureflow.domain.specs.base import Problem, refuse
from secureflow.domain.specs.contribution_rules import contribution_problem, self_report_problem
from secureflow.domain.specs.inputs import input_problem
from secureflow.domain.specs.model_rules import model_problem
from secureflow.domain.specs.privacy import MAX_SIGMA, MIN_SHARE, Privacy
from secureflow.domain.specs.privacy_hints import (
    BOUNDED,
    UNMEASURED,
    acknowledged,
    another_mechanism,
    noise_of_sums,
    unmasked,
)
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.recipe_rules import recipe_problem
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.domain.specs.roundparties import round_parties_problem
from secureflow.domain.specs.targets import target_problem
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.domain.specs.tree_privacy import rounded_values
from secureflow.kit.text import Joined, Text

if TYPE_CHECKING:
    from collections.abc import Callable


def check(spec: TrainingSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules = (
        _roster_rules, _feature_rules, model_problem, _masking_rules, privacy_problem,
        contribution_problem, round_parties_problem, self_report_problem,
    )  # fmt: skip
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: TrainingSpec) -> Problem | None:
    return roster_problem(spec, 2)


def _feature_rules(spec: TrainingSpec) -> Problem | None:
    return None if spec.features is None else features_problem(spec.features)


def features_problem(features: FeatureSpec) -> Problem | None:
    """Return a contradiction within the features of a job, or None."""
    if len(set(features.columns)) != len(features.columns):
        return "features", "a column is listed twice (or is the label)", "Use each column once."
    if not features.width:
        return "features", "there is no feature", "Name at least one column that the model sees."
    for numeric in features.numeric:
        problem = bounds_problem(numeric.bounds)
        if problem:
            return f"features.{numeric.column}.bounds", problem, "Use the owners' declared bounds."
    for categorical in features.categorical:
        if len(set(categorical.categories)) != len(categorical.categories):
            name = f"features.{categorical.column}.categories"
            return name, "a category is listed twice", "List each category once."
    return (
        recipe_problem(features)
        or input_problem(features.beside)
        or target_problem(features.label, features.weight)
    )


def _masking_rules(spec: TrainingSpec) -> Problem | None:
    if not traits_of(spec).masks:
        return None
    if spec.release.intermediate == "agents":
        reason = "under masks the sum is published, so that every agent can compute the next model"
        hint = 'Set release.intermediate to "operator", or protection to "sealed".'
        return "release.intermediate", reason, hint
    if len(spec.roster) * spec.limits.max_weight << spec.quantisation.bits >= 1 << 63:
        reason = "a sum over the roster could exceed a signed 64-bit integer"
        return "quantisation.bits", reason, "Lower it, or limits.max_weight."
    return None


# --- the privacy part ----------------------------------------------------------------------------


def privacy_problem(spec: TrainingSpec) -> Problem | None:
    """Return a contradiction of the privacy part of a spec, or None."""
    privacy = spec.privacy
    if privacy is None:
        return None
    rules: tuple[Callable[[TrainingSpec, Privacy], Problem | None], ...] = (
        _recipe_rules,
        _unit_rules,
        _placement_rules,
        _release_rules,
        _range_rules,
    )
    return next((found for rule in rules if (found := rule(spec, privacy))), None)


def _recipe_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    del privacy
    recipe = spec.features.recipe if spec.features else None
    if recipe is None or recipe.private:
        return None
    reason = "the recipe was fitted to exact sums over the data, released without noise"
    return "features.recipe", reason, "Fit the preparation with `privacy`, too."


def _unit_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    if spec.model.family == "rehearsal":
        return "privacy", "a rehearsal uses no data", "Remove it."
    if privacy.unit == "person":
        reason = (
            "a training step clips each record, but does not bound how many records a person has"
        )
        hint: str = (
            "Write `privacy: {unit: record, mechanism: dp-sgd}`: only statistics jobs hide whole "
            "persons."
        )
        return "privacy.unit", reason, hint
    wanted = "dp-sgd" if privacy.unit == "record" else "central"
    if privacy.mechanism != wanted:
        reason = Text(
            "{mechanism} bounds another unit than the {unit}",
            mechanism=privacy.mechanism,
            unit=privacy.unit,
        )
        return "privacy.mechanism", reason, another_mechanism(spec, wanted)
    if privacy.unit == "party":
        return _party_rules(spec, privacy)
    if privacy.adaptive is not None:
        reason = "a quantile of the records' gradient norms would be released as well"
        hint = 'Remove it, and choose privacy.clipping_norm: it is for unit "party".'
        return "privacy.adaptive", reason, hint
    return None


def _party_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    if not privacy.party_unit_acknowledged:
        reason: str = Text(
            "hiding a whole party among {count} needs noise that usually ruins the "
            "model, and no record is protected more than by that",
            count=len(spec.roster),
        )
        return "privacy.unit", reason, acknowledged(spec)
    if privacy.noise == "local":
        reason = "a party that adds the whole noise itself needs no unit above the record"
        noise = noise_of_sums(spec)
        return "privacy.noise", reason, Text("Write `privacy: {{noise: {noise}}}`.", noise=noise)
    if privacy.metrics_noise is not None:
        reason = "nothing bounds what a whole party adds to the validation figures"
        return "privacy.metrics_noise", reason, Joined(" ", ["Remove it.", UNMEASURED])
    if privacy.sampling < 1.0 or privacy.local_steps > 1:
        reason = "all parties take part in each round, with the plan's local epochs"
        return "privacy.sampling", reason, "Write `privacy: {sampling: 1, local_steps: 1}`."
    adaptive, most = privacy.adaptive, privacy.noise_multiplier
    if adaptive is not None and most is not None and 2 * adaptive.bit_noise <= most:
        reason = Text(
            "the quantile bit alone costs more than the multiplier {noise:g} allows", noise=most
        )
        hint = Text("Set it above {least:g}.", least=most / 2)
        return "privacy.adaptive.bit_noise", reason, hint
    return None


def _placement_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    masks = traits_of(spec).masks
    if privacy.noise == "enclave" and masks:
        reason = "under masks the enclave sees no sum before the noise"
        return "privacy.noise", reason, unmasked(privacy.unit)
    if privacy.noise == "shared" and not masks:
        reason = "a share of the noise protects a sum only; without masks single updates are opened"
        hint = "Write `privacy: {noise: enclave}`, or `protection: sealed+secagg`."
        return "privacy.noise", reason, hint
    if privacy.noise != "local" and privacy.local_steps > 1:
        reason = "one noise on the sum covers one clipped gradient per record, so one step a round"
        hint = "Write `privacy: {local_steps: 1}`, or `privacy: {noise: local}`."
        return "privacy.local_steps", reason, hint
    if privacy.unit == "record" and spec.plan.local_epochs > 1:
        reason = "several passes over the records would each need their own noise"
        hint = "Write `plan: {local_epochs: 1}`; privacy.local_steps counts steps."
        return "plan.local_epochs", reason, hint
    return None


def _release_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    """Check everything else that a job could release without noise."""
    numeric = spec.features.numeric if spec.features else ()
    federated = [feature.column for feature in numeric if feature.scale == "federated"]
    if federated:
        reason = "federated moments are exact sums over the data, released without noise"
        return f"features.{federated[0]}.scale", reason, BOUNDED
    if spec.plan.validation and privacy.metrics_noise is None:
        reason = "validation loss, accuracy and AUC would be released without noise"
        if privacy.unit == "party":  # whose figures cannot be noised either
            return "plan.validation", reason, UNMEASURED
        hint = (
            "Write `plan: {validation: 0}` and measure on data outside the unit, or noise them "
            "too: `privacy: {metrics_noise: 10}`."
        )
        return "plan.validation", reason, hint
    if privacy.metrics_noise is not None and not spec.plan.validation:
        reason = "there are no validation rows to measure on"
        hint = "Write `plan: {validation: 0.1}`, or remove it."
        return "privacy.metrics_noise", reason, hint
    if privacy.unit == "record" and not privacy.rows:
        reason = "the denominator must be public; counting the records would release their number"
        hint = "Write `privacy: {rows: 30000}` with roughly how many records all parties have."
        return "privacy.rows", reason, hint
    return None


def _range_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    units = privacy.rows if privacy.unit == "record" else len(spec.roster)
    if privacy.delta * units >= 1.0:
        reason: str = Text(
            "at δ ≥ 1/{units} publishing a whole {unit} at random would count as private",
            units=units,
            unit=privacy.unit,
        )
        hint = Text("Write `privacy: {{delta: {most:.1e}}}` or less.", most=0.1 / units)
        return "privacy.delta", reason, hint
    if privacy.unit == "record" and privacy.sampling * privacy.rows < len(spec.roster):
        reason = "less than one record per party is expected in a step"
        return "privacy.sampling", reason, "Raise it."
    if privacy.noise_multiplier is None:
        reason = "it is neither given nor calibrated from an epsilon"
        epsilon = "Write `privacy: {epsilon: 3}` with the most that it may cost, or give it."
        return "privacy.noise_multiplier", reason, epsilon
    return _lattice_rules(spec, privacy)


def _lattice_rules(spec: TrainingSpec, privacy: Privacy) -> Problem | None:
    dimension = rounded_values(spec)
    least = MIN_SHARE / privacy.share(len(spec.roster)) if privacy.noise == "shared" else 0.0
    for field, width in (
        ("privacy.bits", privacy.sigma(dimension)),
        ("privacy.bits", privacy.bit_sigma),
        ("privacy.metrics_noise", privacy.metrics_sigma),
    ):
        if width > MAX_SIGMA:
            return field, "the noise is wider than 2^17 lattice steps", "Lower it, or the noise."
        if width and width < least:
            reason = Text(
                "a party's share of the noise is narrower than {least:g} lattice steps",
                least=MIN_SHARE,
            )
            return field, reason, "Raise it, or the noise."
    return None
