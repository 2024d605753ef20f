"""Jobs whose contributions cannot be scored, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.contribution import LEAST_PARTIES, MAX_VALUES, ContributionPlan
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.strategies import kept_vectors, name_of, sent_beside
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text

MEASURED: Final = frozenset({"logistic_regression", "linear", "softmax", "mlp"})
"""Families whose models an enclave computes by itself, from sums of updates."""
_WHERE: Final = "plan.contribution"
_WITHOUT: Final = "Leave plan.contribution out."
_REPORTED: Final = (
    'Use protection "sealed", or leave it out: the report then shows in how many rounds each '
    "party took part."
)


MAX_WORK: Final = 10**13
"""Products of a weight and a number that scoring may take: about an hour of one processor."""
MEASURING: Final = 500_000
"""Products in the time that a model of any size takes on one party's rows, however few."""


def scored_models(spec: TrainingSpec, plan: ContributionPlan) -> int:
    """Return the most models that scoring measures: of every round, those of its coalitions.

    As `engines.contribution.gtg` decides it: all of them if sampled orders would value as many.
    """
    parties = len(spec.roster)
    sampled = plan.permutations * (parties - 1)
    return spec.planned_rounds * (2 + min((1 << parties) - 2, sampled))


def scoring_work(spec: TrainingSpec, plan: ContributionPlan) -> int:
    """Return the products that scoring takes at most: to make each model, and to measure it."""
    each = (1 + plan.rows) * spec.model_parameters + MEASURING
    return scored_models(spec, plan) * len(spec.roster) * each


def contribution_problem(spec: TrainingSpec) -> Problem | None:
    """Return why the contributions of this job cannot be scored, or None."""
    plan = spec.plan.contribution
    if plan is None:
        return None
    rules: tuple[Callable[[TrainingSpec, ContributionPlan], Problem | None], ...] = (
        _protection_rules,
        _mean_rules,
        _model_rules,
        _row_rules,
        _order_rules,
        _work_rules,
    )
    return next((found for rule in rules if (found := rule(spec, plan))), None)


def self_report_problem(spec: TrainingSpec) -> Problem | None:
    """Return why parties cannot be asked to tell figures of their own, or None."""
    where, hint = "plan.self_report", "Leave plan.self_report out."
    if spec.plan.self_report is None:
        return None
    if not traits_of(spec).masks:
        return where, "only masks hide rows and losses of a party", hint
    if spec.privacy is not None:
        return where, "the figures are exact, and would be released without noise", hint
    return None if spec.part_of is None else part_problem(spec)


def _protection_rules(spec: TrainingSpec, plan: ContributionPlan) -> Problem | None:
    """Check that there are single updates, and that they mean something."""
    del plan
    if traits_of(spec).masks:
        return _WHERE, "scores need single updates, and masks hide them", _REPORTED
    if spec.privacy is not None:
        reason = "scores are measured on rows exactly, and would be released without noise"
        return _WHERE, reason, _WITHOUT
    if spec.part_of is not None:
        return part_problem(spec)
    if len(spec.roster) < LEAST_PARTIES:
        reason = Text(
            "each party is judged by the others' rows, so there must be {least} or more",
            least=LEAST_PARTIES,
        )
        return _WHERE, reason, _WITHOUT
    return None


def _mean_rules(spec: TrainingSpec, plan: ContributionPlan) -> Problem | None:
    """Check that a coalition's model is the mean of its updates."""
    del plan
    if spec.plan.aggregation is not None:
        reason: str = Text(
            "with {rule} a coalition's model is not the mean of its updates",
            rule=spec.plan.aggregation.rule,
        )
        return _WHERE, reason, "Leave plan.aggregation out, or plan.contribution."
    strategy = spec.plan.strategy
    if kept_vectors(strategy) or sent_beside(strategy, 1):
        reason = Text(
            "what {strategy} keeps from round to round is made of all parties' updates",
            strategy=name_of(strategy),
        )
        return "plan.strategy", reason, "Use fedavg or fedprox, or leave plan.contribution out."
    return None


def _model_rules(spec: TrainingSpec, plan: ContributionPlan) -> Problem | None:
    """Check that the enclave can measure a model."""
    del plan
    if spec.model.family not in MEASURED or spec.features is None:
        reason: str = Text(
            "the enclave does not compute models of the family {family}", family=spec.model.family
        )
        hint = Text("Use one of {families}.", families=", ".join(sorted(MEASURED)))
        return "model.family", reason, hint
    if spec.features.beside:
        reason = "images, arrays and texts are not sealed as rows of numbers"
        return _WHERE, reason, _WITHOUT
    return None


def _row_rules(spec: TrainingSpec, plan: ContributionPlan) -> Problem | None:
    """Check the rows."""
    if not spec.plan.validation:
        reason: str = "the rows are of those that are held out, and there are none"
        return "plan.validation", reason, "Write `plan: {validation: 0.1}` or more."
    if spec.wire_type != "float32":
        return "wire", "rows would be rounded to it", "Remove it."
    if spec.compression is not None:
        return "compression", "scored changes travel as they were trained", "Remove it."
    width = spec.features.width + 1 if spec.features else 1
    if plan.rows * width * len(spec.roster) > MAX_VALUES:
        reason = Text(
            "{rows} rows of {width} numbers of {count} parties are more than the enclave holds",
            rows=plan.rows,
            width=width,
            count=len(spec.roster),
        )
        most = MAX_VALUES // (width * len(spec.roster))
        return f"{_WHERE}.rows", reason, Text("Write {most} or fewer.", most=most)
    return None


def _order_rules(spec: TrainingSpec, plan: ContributionPlan) -> Problem | None:
    """Check that every party comes first in some order: who never does may score 0, surely."""
    parties, rounds = spec.plan.parties_per_round or len(spec.roster), spec.planned_rounds
    exact = (1 << parties) - 2 <= plan.permutations * (parties - 1)
    if exact or rounds * plan.permutations >= parties:
        return None
    reason = Text(
        "{orders} orders in all are sampled, so that not each of {count} parties comes first in "
        "one, and what the first one brings counts most",
        orders=rounds * plan.permutations,
        count=parties,
    )
    least = -(-parties // rounds)
    return f"{_WHERE}.permutations", reason, Text("Write {least} or more.", least=least)


def _work_rules(spec: TrainingSpec, plan: ContributionPlan) -> Problem | None:
    """Check that the enclave can do it: it would work for days without a bound."""
    if scoring_work(spec, plan) <= MAX_WORK:
        return None
    reason = Text(
        "scoring would measure {models} models of {parameters} numbers on {rows} rows, which is "
        "more than an enclave takes on",
        models=scored_models(spec, plan),
        parameters=spec.model_parameters,
        rows=plan.rows * len(spec.roster),
    )
    return _WHERE, reason, "Write fewer rows, permutations or rounds, or a smaller model."
