"""Contradictions between a training job's strategy and its model, privacy and protection."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.strategies import PLAIN, FedProx, name_of
from secureflow.domain.specs.torch_families import TORCH_FAMILIES
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text

STEPPED: Final = frozenset({"logistic_regression", "linear", "softmax", "mlp", *TORCH_FAMILIES})
"""Families whose local steps the platform takes itself, and may change."""

_FEDAVG: Final = "Write `plan: {strategy: fedavg}`, or leave it out."


def strategy_problem(spec: TrainingSpec) -> Problem | None:
    """Return why the strategy cannot train this job, or None."""
    name, family = name_of(spec.plan.strategy), spec.model.family
    if name == PLAIN:
        return None
    if family == "rehearsal":
        return "plan.strategy", "a rehearsal takes no steps", _FEDAVG
    if family in BY_SUMS:
        reason = Text("the next model of {family} is a mean, not a step", family=family)
        return "plan.strategy", reason, _FEDAVG
    return _local_rules(spec) if isinstance(spec.plan.strategy, FedProx) else None


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
