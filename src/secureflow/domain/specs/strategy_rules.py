"""Contradictions between a training job's strategy and its model, privacy and protection."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.robust import Robust, least_parties
from secureflow.domain.specs.strategies import (
    PLAIN,
    FedDyn,
    FedNova,
    FedProx,
    Scaffold,
    kept_by_party,
    name_of,
    sent_beside,
)
from secureflow.domain.specs.torch_families import TORCH_FAMILIES, TORCH_MODELS, Optimiser, Schedule
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text

STEPPED: Final = frozenset({"logistic_regression", "linear", "softmax", "mlp", *TORCH_FAMILIES})
"""Families whose local steps the platform takes itself, and may change."""

SCAFFOLD_LEAST: Final = 4
"""Of two sums that weigh parties differently, who knows one of three can solve the other two."""
_FEDAVG: Final = "Write `plan: {strategy: fedavg}`, or leave it out."


def strategy_problem(spec: TrainingSpec) -> Problem | None:
    """Return why the strategy, or the rule that aggregates, cannot train this job, or None."""
    return _strategy_rules(spec) or (
        None if spec.plan.aggregation is None else _robust_rules(spec, spec.plan.aggregation)
    )


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


def _strategy_rules(spec: TrainingSpec) -> Problem | None:
    name, family = name_of(spec.plan.strategy), spec.model.family
    if name == PLAIN:
        return None
    if family == "rehearsal":
        return "plan.strategy", "a rehearsal takes no steps", _FEDAVG
    if family in BY_SUMS:
        reason = Text("the next model of {family} is a mean, not a step", family=family)
        return "plan.strategy", reason, _FEDAVG
    if not isinstance(spec.plan.strategy, FedProx | FedDyn | Scaffold | FedNova):
        return None
    return _local_rules(spec) or _hiding_rules(spec) or _beside_rules(spec)


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
    if kept_by_party(strategy) and spec.resume is not None:
        reason = Text(
            "what {strategy} keeps at the parties ends with their job, and the model's file has "
            "the other half of it",
            strategy=name,
        )
        return "resume", reason, "Start from the model's weights instead: secureflow model upload."
    if sent_beside(strategy, 1) and spec.wire_type != "float32":
        reason = Text("what {strategy} sends beside the change needs float32", strategy=name)
        return "wire", reason, "Remove it."
    if spec.model.family in TORCH_FAMILIES:
        return _torch_rules(spec)
    return None


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
