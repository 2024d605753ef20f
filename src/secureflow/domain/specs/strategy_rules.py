"""Contradictions between a training job's strategy and its model, privacy and protection."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.robust import Robust, least_parties
from secureflow.domain.specs.strategies import (
    PLAIN,
    FedBn,
    FedDyn,
    FedNova,
    FedProx,
    FineTune,
    Scaffold,
    kept_by_party,
    name_of,
    sent_beside,
)
from secureflow.domain.specs.torch_families import (
    TORCH_FAMILIES,
    TORCH_MODELS,
    Optimiser,
    Schedule,
    TorchMlpModel,
)
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text

STEPPED: Final = frozenset({"logistic_regression", "linear", "softmax", "mlp", *TORCH_FAMILIES})
"""Families whose local steps the platform takes itself, and may change."""

SCAFFOLD_LEAST: Final = 4
"""Of two sums that weigh parties differently, who knows one of three can solve the other two."""
_NORMS: Final = (
    "Use torch_cnn, torch_transformer without an adapter, or torch_mlp with `norm: layer` or "
    "`norm: batch`."
)
_FEDAVG: Final = "Write `plan: {strategy: fedavg}`, or leave it out."


def strategy_problem(spec: TrainingSpec) -> Problem | None:
    """Return why the strategy, or the rule that aggregates, cannot train this job, or None."""
    rule = spec.plan.aggregation
    found = _norm_rules(spec) or _strategy_rules(spec)
    return found or (None if rule is None else _robust_rules(spec, rule))


def _robust_rules(spec: TrainingSpec, rule: Robust) -> Problem | None:
    """Check a rule that needs single updates."""
    where, mean = "plan.aggregation", "Leave it out: the weighted mean is the default."
    if traits_of(spec).masks:
        reason: str = Text("{rule} needs single updates, and masks hide them", rule=rule.rule)
        return where, reason, 'Use protection "sealed".'
    if spec.privacy is not None and spec.privacy.noise != "local":
        reason = "the noise of a job is that of a sum, and the rule would release something else"
        return where, reason, "Write `privacy: {noise: local}`, or leave the rule out."
    if spec.model.family in BY_SUMS:
        reason = Text("updates of {family} are no changes of a model", family=spec.model.family)
        return where, reason, mean
    if sent_beside(spec.plan.strategy, 1):
        name = name_of(spec.plan.strategy)
        reason = Text("what {strategy} sends beside the change needs the mean", strategy=name)
        return where, reason, "Use another strategy, or leave the rule out."
    return _too_few(spec, rule)


def _too_few(spec: TrainingSpec, rule: Robust) -> Problem | None:
    """Check that a rule gets as many updates in each round as it needs."""
    where = "plan.aggregation"
    least = least_parties(rule)
    if len(spec.roster) < least:
        reason = Text(
            "{rule} needs {least} parties, and there are {count}",
            rule=rule.rule, least=least, count=len(spec.roster),
        )  # fmt: skip
        return where, reason, "Expect fewer malicious parties, or leave the rule out."
    if spec.min_contributors < least:
        reason = Text("{rule} needs {least} updates in each round", rule=rule.rule, least=least)
        return "min_contributors", reason, Text("Write `min_contributors: {least}`.", least=least)
    return None


def _norm_rules(spec: TrainingSpec) -> Problem | None:
    """Check that what norms count of a party's rows stays with it."""
    counts = isinstance(spec.model, TorchMlpModel) and spec.model.norm == "batch"
    if not counts or isinstance(spec.plan.strategy, FedBn):
        return None
    reason = "the means and variances that BatchNorm counts are those of one party's rows"
    return "model.norm", reason, "Write `plan: {strategy: fedbn}`, or `norm: layer`."


def _strategy_rules(spec: TrainingSpec) -> Problem | None:
    name, family = name_of(spec.plan.strategy), spec.model.family
    if name == PLAIN:
        return None
    if family == "rehearsal":
        return "plan.strategy", "a rehearsal takes no steps", _FEDAVG
    if family in BY_SUMS:
        reason = Text("the next model of {family} is a mean, not a step", family=family)
        return "plan.strategy", reason, _FEDAVG
    if spec.own_models:
        return _own_rules(spec)
    if not isinstance(spec.plan.strategy, FedProx | FedDyn | Scaffold | FedNova):
        return None
    return _local_rules(spec) or _hiding_rules(spec) or _beside_rules(spec)


def _own_rules(spec: TrainingSpec) -> Problem | None:
    """Check a strategy by which each party ends with a model of its own."""
    name = name_of(spec.plan.strategy)
    if isinstance(spec.plan.strategy, FedBn) and not spec.staying:
        reason: str = Text(
            "{strategy} keeps normalisation layers at the parties, and this model of {family} has "
            "none",
            strategy=name, family=spec.model.family,
        )  # fmt: skip
        return "plan.strategy", reason, _NORMS
    if spec.privacy is not None:
        reason = Text(
            "{strategy} has the parties' own models measured, and their figures have no noise",
            strategy=name,
        )
        return "plan.strategy", reason, _FEDAVG
    if spec.plan.keep is not None:
        reason = Text("{strategy} makes the parties' own models of the last one", strategy=name)
        return "plan.keep", reason, "Remove it."
    if isinstance(spec.plan.strategy, FineTune) and not spec.plan.validation:
        reason = "no rows are held out, on which it would be seen who gains"
        return "plan.validation", reason, "Write `plan: {validation: 0.2}`."
    return _local_rules(spec) or _resumed_rules(spec)


def _hiding_rules(spec: TrainingSpec) -> Problem | None:
    """Check that what a round releases hides each party's change among the others'."""
    strategy, name = spec.plan.strategy, name_of(spec.plan.strategy)
    if isinstance(strategy, Scaffold) and spec.min_contributors < SCAFFOLD_LEAST:
        reason = Text(
            "a round of {strategy} releases two sums, from which each of fewer than {least} "
            "parties could compute the others' changes",
            strategy=name, least=SCAFFOLD_LEAST,
        )  # fmt: skip
        hint = Text("Write `min_contributors: {least}`.", least=SCAFFOLD_LEAST)
        return "min_contributors", reason, hint
    return None


def _beside_rules(spec: TrainingSpec) -> Problem | None:
    """Check a strategy that keeps or sends more of a party than the change of its model."""
    strategy, name = spec.plan.strategy, name_of(spec.plan.strategy)
    if isinstance(strategy, FedProx):
        return None
    if spec.privacy is not None:
        reason: str = Text(
            "{strategy} needs more of a party than the change of its model, which alone is noised",
            strategy=name,
        )
        return "plan.strategy", reason, _FEDAVG
    if (problem := _resumed_rules(spec)) is not None:
        return problem
    if sent_beside(strategy, 1) and spec.wire_type != "float32":
        reason = Text("what {strategy} sends beside the change needs float32", strategy=name)
        return "wire", reason, "Remove it."
    if spec.model.family in TORCH_FAMILIES:
        return _torch_rules(spec)
    return None


def _resumed_rules(spec: TrainingSpec) -> Problem | None:
    """Check that no job goes on without what its parties kept."""
    if not kept_by_party(spec.plan.strategy) or spec.resume is None:
        return None
    reason = Text(
        "what {strategy} keeps at the parties ends with their job, and the model's file has "
        "the other half of it",
        strategy=name_of(spec.plan.strategy),
    )
    return "resume", reason, "Start from the model's weights instead: secureflow model upload."


def _torch_rules(spec: TrainingSpec) -> Problem | None:
    """Check what the step of an optimiser must be for a strategy that counts steps."""
    name, model = name_of(spec.plan.strategy), spec.model
    if not isinstance(spec.plan.strategy, Scaffold | FedNova):
        return None  # FedDyn changes the loss, and whatever minimises it
    plain = isinstance(model, TORCH_MODELS) and model.optimiser == Optimiser()
    if plain and isinstance(model, TORCH_MODELS) and model.schedule == Schedule():
        return None
    reason = Text("{strategy} counts steps of plain gradient descent", strategy=name)
    return (
        "model.optimiser",
        reason,
        "Write `optimiser: {name: sgd}`, and no schedule.",
    )


def _local_rules(spec: TrainingSpec) -> Problem | None:
    """Check a strategy that changes the parties' local steps."""
    name, family = name_of(spec.plan.strategy), spec.model.family
    if family not in STEPPED:
        reason = Text(
            "{strategy} changes local steps, and the platform does not take those of {family}",
            strategy=name,
            family=family,
        )
        hint = Text("Use one of {families}, or another strategy.", families=", ".join(_shown()))
        return "plan.strategy", reason, hint
    if spec.privacy is not None and spec.privacy.unit == "record":
        reason = Text(
            "under privacy of records a round's steps are noised gradients, which {strategy} does "
            "not change",
            strategy=name,
        )
        return "plan.strategy", reason, _FEDAVG
    return None


def _shown() -> list[str]:
    return sorted(STEPPED)
