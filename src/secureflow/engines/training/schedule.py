"""When the rounds of a plan end, and which model is kept: the same for a job and its simulation.

A round's metrics are those of the model that it starts from, so the model of round n is judged by
round n + 1, the last one by the evaluation. The model before round 1 is not among those kept. A
round without the figure (an AUC where all labels are alike) neither stops nor is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from secureflow.domain.specs.measured import HIGHER, Metric
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel

M = TypeVar("M")


@dataclass(frozen=True)
class Turn:
    """One round of a job, and which round of its plan it belongs to.

    A round of the plan is one round of the job, but of trees: there it is one tree, which takes a
    round for each of its levels (a party's own one is whole), after a first one that agrees on
    edges.

    Args:
        number: of the job's round, from 1.
        round: of the plan's, from 1; 0 before them.
        begins: whether it is the first of the plan's round: its figures are of a whole model.
        ends: whether it is the last one.
    """

    number: int
    round: int
    begins: bool = True
    ends: bool = True


def turns(spec: TrainingSpec) -> Iterator[Turn]:
    """Yield the rounds of a job, in order."""
    model = spec.model
    if not isinstance(model, XgboostModel):
        yield from (Turn(number, number) for number in range(1, spec.plan.rounds + 1))
        return
    yield Turn(1, 0, begins=False, ends=False)
    for tree in range(1, spec.plan.rounds + 1):
        levels = model.levels(1) - 1
        first = 2 + (tree - 1) * levels
        for level in range(levels):
            yield Turn(first + level, tree, level == 0, level + 1 == levels)


def badness(metrics: Mapping[str, float], metric: Metric) -> float | None:
    """Return a figure so that less is better; None if the metrics do not have it.

    A built-in model's rounds have `mse` for `rmse`; a model of one's own code has what it declares.
    """
    value = metrics.get(metric)
    if value is None and metric == "rmse" and "mse" in metrics:
        value = math.sqrt(max(metrics["mse"], 0.0))
    return -value if value is not None and metric in HIGHER else value


class Stopping:
    """The early stop of a plan: the federated validation figure has not improved for a while.

    Args:
        plan: without `early_stop` it never stops.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._rule, self._metric = plan.early_stop, plan.metric or "loss"
        self._best, self._stale = math.inf, 0

    def after(self, metrics: Mapping[str, float]) -> bool:
        """Tell whether the round with these metrics is the last."""
        found = badness(metrics, self._metric)
        if self._rule is None or found is None:
            return False
        improved = found < self._best - self._rule.min_delta
        self._best = min(self._best, found)
        self._stale = 0 if improved else self._stale + 1
        return self._stale >= self._rule.patience


@dataclass
class Kept(Generic[M]):
    """The model with the best federated validation figure so far; the earlier one of equals."""

    metric: Metric = "loss"
    round: int = 0
    model: M | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    sums: list[float] = field(default_factory=list)

    def beats(self, number: int, metrics: Mapping[str, float]) -> bool:
        """Tell whether the model of a round is better than the kept one."""
        found, kept = badness(metrics, self.metric), badness(self.metrics, self.metric)
        if not number or found is None:
            return False
        return self.model is None or kept is None or found < kept

    def offer(
        self, number: int, model: M | None, metrics: dict[str, float], sums: list[float]
    ) -> None:
        """Keep the model of a round if it is the best so far."""
        if model is not None and self.beats(number, metrics):
            self.round, self.model, self.metrics, self.sums = number, model, metrics, sums
