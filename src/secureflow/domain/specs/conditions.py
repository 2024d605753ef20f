"""Conditions on steps of a pipeline: one runs only if a figure of an earlier evaluation reaches it.

A condition stands in the spec that people approve. The figures that decide it are those that every
party signs of the evaluation (`outputs.Outputs.metrics`): texts with six decimals, so that the
centre, the parties and whoever reads the record compare the same numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.domain.metricnames import in_words
from secureflow.domain.specs.base import STRICT, UNLESS_NONE, Slug
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.kit.text import Text

Metrics = Sequence[Mapping[str, str]]
"""Of each model of an evaluation, in the order of its spec: figure → its number as a text."""
Signed = Callable[[int], Mapping[str, Any] | None]
"""Of a part's number, the outputs that were signed; None if none were."""
_BINARY: Final = frozenset(
    ("rows", "positives", "rate", "predicted_rate", "loss", "brier", "auc", "gini", "ks",
     "calibration_error", "accuracy", "precision", "recall", "specificity", "f1",
     "balanced_accuracy")
)  # fmt: skip
_CLASSES: Final = frozenset(
    ("rows", "loss", "brier", "auc", "calibration_error", "accuracy", "balanced_accuracy",
     "macro_f1", "weighted_f1")
)  # fmt: skip
_NUMBER: Final = frozenset(("rows", "mse", "rmse", "mae", "bias", "target_mean", "r2"))
ANY_METRIC: Final = _BINARY | _CLASSES | _NUMBER
"""The figures that evaluations tell, of whatever target."""
MOST_MODELS: Final = 16
MOST_FIGURES: Final = 64
_NUMBER_FORM: Final = re.compile(r"-?[0-9]{1,300}\.[0-9]{6}", re.ASCII)
_NAME_FORM: Final = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)
_BEYOND: Final = 1e300
DECIMALS: Final = 6
"""Of the figures that parties sign."""
Limit = Annotated[float, Field(ge=-1e12, le=1e12)]


@dataclass(frozen=True)
class Condition:
    """What a figure of an earlier step must reach for a step to run; one limit of the two.

    Args:
        step: the evaluation's id.
        metric: the figure's short name.
        of: the step whose model is meant, where the evaluation measures several.
        at_least: the step runs if the figure is this or more.
        at_most: the step runs if the figure is this or less.
    """

    __pydantic_config__ = STRICT
    step: Slug
    metric: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    of: Annotated[Slug | None, UNLESS_NONE] = None
    at_least: Annotated[Limit | None, UNLESS_NONE] = None
    at_most: Annotated[Limit | None, UNLESS_NONE] = None

    @property
    def sentence(self) -> Text:
        """What must hold, in words."""
        metric, step = in_words(self.metric), self._whose
        if self.at_least is not None:
            return Text("{metric} of {step} is at least {limit}",
                        metric=metric, step=step, limit=exact(self.at_least))  # fmt: skip
        return Text("{metric} of {step} is at most {limit}",
                    metric=metric, step=step, limit=exact(self.at_most or 0.0))  # fmt: skip

    @property
    def too_fine(self) -> bool:
        """Whether its limit has more decimals than the figures that are compared with it."""
        limits = (one for one in (self.at_least, self.at_most) if one is not None)
        return any(len(exact(one).partition(".")[2]) > DECIMALS for one in limits)

    @property
    def _whose(self) -> str:
        return f"{self.step}/{self.of}" if self.of else self.step

    def unmet(self, metrics: Metrics, place: int) -> Text | None:
        """Return why it does not hold; None if it does. A figure that is not told reaches nothing.

        Args:
            metrics: that every party signed of the evaluation.
            place: of the model that is meant, from 0.
        """
        told = metrics[place] if place < len(metrics) else {}
        value, metric, step = told.get(self.metric), in_words(self.metric), self._whose
        if value is None:
            return Text("{step} tells no {metric}", step=step, metric=metric)
        number = Decimal(value)
        least, most = self.at_least, self.at_most
        if least is not None and number < Decimal(repr(least)):
            return Text("{metric} of {step} is {value}, less than {limit}",
                        metric=metric, step=step, value=value, limit=exact(least))  # fmt: skip
        if most is not None and number > Decimal(repr(most)):
            return Text("{metric} of {step} is {value}, more than {limit}",
                        metric=metric, step=step, value=value, limit=exact(most))  # fmt: skip
        return None


@dataclass(frozen=True)
class Gate:
    """What decides whether a step runs.

    Args:
        step: its id.
        numbers: of its parts, one of each attempt.
        before: the ids of the steps without which it does not run.
        when: its condition.
        told_by: the numbers of the parts whose figures decide it.
        model: which of the models that those measure is meant, from 0; None if they measure none
            that is meant: it has no figure to reach anything.
    """

    step: str
    numbers: range
    before: frozenset[str] = frozenset()
    when: Condition | None = None
    told_by: range = range(0)
    model: int | None = None

    def closed(self, signed: Signed) -> Text | None:
        """Return why its condition does not hold; None if it does, or nothing decides it yet."""
        told = next((one for one in map(signed, self.told_by) if one is not None), None)
        if self.when is None or told is None:
            return None
        metrics = told.get("metrics") or () if self.model is not None else ()
        return self.when.unmet(metrics, self.model or 0)


def skipped_by(gates: Iterable[Gate], signed: Signed) -> dict[str, Text]:
    """Return the steps that do not run, by what was signed so far, each with the reason.

    Args:
        gates: of the steps, in their order.
        signed: of a part's number, the outputs that were signed; None if none were.
    """
    found: dict[str, Text] = {}
    for gate in gates:
        lost = next((one for one in sorted(gate.before) if one in found), None)
        if lost is not None:
            found[gate.step] = Text("it needs {step}, which is skipped", step=lost)
        elif (why := gate.closed(signed)) is not None:
            found[gate.step] = why
    return found


def exact(limit: float) -> str:
    """Return a limit as it stands in the spec, not rounded: people approve by what they read."""
    return f"{Decimal(repr(limit)):f}".removesuffix(".0")


def metrics_of(label: Any) -> frozenset[str]:
    """Return the figures that an evaluation of a target tells, by their short names."""
    if isinstance(label, NumberLabel):
        return _NUMBER
    return _CLASSES if isinstance(label, ClassesLabel) else _BINARY


def signed_metrics(models: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """Return figures as parties sign them: texts with six decimals.

    A figure without that form (not a number, or beyond every other) is left out, not all with it:
    a condition on it does not hold, because it is not told.

    Args:
        models: of each model, figure → number.
    """
    return [
        {
            name: f"{value:.{DECIMALS}f}"
            for name, value in sorted(one.items())
            if abs(value) < _BEYOND and _NAME_FORM.fullmatch(name)
        }
        for one in models
    ]


def are_metrics(value: Any) -> bool:
    """Tell whether foreign JSON has the form of figures that parties sign."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_MODELS:
        return False
    return all(isinstance(one, Mapping) and _is_told(one) for one in value)


def _is_told(figures: Mapping[Any, Any]) -> bool:
    return len(figures) <= MOST_FIGURES and all(
        isinstance(name, str)
        and _NAME_FORM.fullmatch(name)
        and isinstance(one, str)
        and _NUMBER_FORM.fullmatch(one)
        for name, one in figures.items()
    )
