"""When the rounds of a plan end, and which model is kept: the same for a job and its simulation.

A round's metrics are those of the model that it starts from, so the model of round n is judged by
round n + 1, the last one by the evaluation. The model before round 1 is not among those kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from secureflow.domain.specs.training import EarlyStop

M = TypeVar("M")


class Stopping:
    """The early stop of a plan: the federated validation loss has not fallen for a while.

    Args:
        rule: the plan's; None never stops.
    """

    def __init__(self, rule: EarlyStop | None) -> None:
        self._rule = rule
        self._best, self._stale = math.inf, 0

    def after(self, metrics: Mapping[str, float]) -> bool:
        """Tell whether the round with these metrics is the last."""
        if self._rule is None or "loss" not in metrics:
            return False
        improved = metrics["loss"] < self._best - self._rule.min_delta
        self._best = min(self._best, metrics["loss"])
        self._stale = 0 if improved else self._stale + 1
        return self._stale >= self._rule.patience


@dataclass
class Kept(Generic[M]):
    """The model with the lowest federated validation loss so far; the earlier one of equals."""

    round: int = 0
    model: M | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    sums: list[float] = field(default_factory=list)

    def beats(self, number: int, metrics: Mapping[str, float]) -> bool:
        """Tell whether the model of a round is better than the kept one."""
        if not number or "loss" not in metrics:
            return False
        return self.model is None or metrics["loss"] < self.metrics["loss"]

    def offer(
        self, number: int, model: M | None, metrics: dict[str, float], sums: list[float]
    ) -> None:
        """Keep the model of a round if it is the best so far."""
        if model is not None and self.beats(number, metrics):
            self.round, self.model, self.metrics, self.sums = number, model, metrics, sums
