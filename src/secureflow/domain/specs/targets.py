"""What a model learns to predict: two classes, several, a number, or nothing.

The JSON of a target has no tag: its members tell which one it is, and `null` is none. How a label's
cell becomes a number (the *target* of a row) is the same for every party and in every prediction:

| target | JSON                       | a row's target                                |
|--------|----------------------------|-----------------------------------------------|
| binary | `{column, positive}`       | 1 where the cell is `positive`, else 0        |
| classes| `{column, classes: [...]}` | the position among `classes`, from 0          |
| number | `{column, bounds: [l, h]}` | (y − middle) / half-range, so −1 to 1         |
| none   | `null`                     | 0                                             |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.bounds import Bounds, bounds_problem
from secureflow.domain.fieldfaults import LABEL
from secureflow.domain.specs.base import STRICT, Category, Column, Problem
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_CLASSES: Final = 1024
"""Most classes of a target."""

ClassWeights = Annotated[
    tuple[Annotated[float, Field(gt=0.0, le=1e6)], ...],
    Field(min_length=2, max_length=MAX_CLASSES),
]
"""How much a row of each class counts in training: of a binary target, negative then positive."""


@dataclass(frozen=True)
class Label:
    """A binary target: rows whose column equals `positive` are class 1."""

    __pydantic_config__ = STRICT
    column: Column
    positive: Category

    def number(self) -> float:
        """Return `positive` for a column of numbers.

        Raises:
            SecureFlowError: `malformed_label`.
        """
        return _number(self.column, self.positive)


@dataclass(frozen=True)
class ClassesLabel:
    """A target of several classes, all of them listed; a row's is its position in the list."""

    __pydantic_config__ = STRICT
    column: Column
    classes: Annotated[tuple[Category, ...], Field(min_length=2, max_length=MAX_CLASSES)]

    def numbers(self) -> tuple[float, ...]:
        """Return the classes for a column of numbers.

        Raises:
            SecureFlowError: `malformed_label`, also for two classes that are one number.
        """
        found = tuple(_number(self.column, one) for one in self.classes)
        if len(set(found)) != len(found):
            raise SecureFlowError(
                "malformed_label",
                Text("Two classes of the numeric label column {column!r} are the same number.",
                     column=self.column),
                "List each number once: 1, 1.0 and 01 are one class.",
                {"column": self.column},
            )  # fmt: skip
        return found


@dataclass(frozen=True)
class NumberLabel:
    """A target that is a number within declared bounds; models see it scaled to −1 … 1."""

    __pydantic_config__ = STRICT
    column: Column
    bounds: Bounds

    @property
    def middle(self) -> float:
        """The number that is scaled to 0."""
        return (self.bounds[0] + self.bounds[1]) / 2

    @property
    def half(self) -> float:
        """Half the width of the bounds: one scaled unit."""
        return (self.bounds[1] - self.bounds[0]) / 2


@dataclass(frozen=True)
class SampleWeight:
    """A number column that says how much each row counts in training, within bounds from 0 on."""

    __pydantic_config__ = STRICT
    column: Column
    bounds: Bounds


def _form(value: Any) -> str | None:
    """Return the tag of a target, foreign JSON or one of the classes below."""
    if isinstance(value, dict):
        return (
            "<classes>" if "classes" in value else "<number>" if "bounds" in value else "<binary>"
        )
    return {ClassesLabel: "<classes>", NumberLabel: "<number>"}.get(type(value), "<binary>")


def _said(value: Any) -> Any:
    """Refuse a label that names a column alone: nobody can tell which member it lacks."""
    if isinstance(value, dict) and set(value) == {"column"}:
        raise PydanticCustomError("label_form", LABEL)
    return value


Target = Annotated[
    Annotated[Label, Tag("<binary>")]
    | Annotated[ClassesLabel, Tag("<classes>")]
    | Annotated[NumberLabel, Tag("<number>")],
    Discriminator(_form),
    BeforeValidator(_said),
]
"""A target in a spec; where it may be absent, `Target | None`."""


def form_of(label: Label | ClassesLabel | NumberLabel | None) -> str:
    """Return the name of a target's form: binary, classes, number or none."""
    return "none" if label is None else str(_form(label)).strip("<>")


def outputs_of(label: Label | ClassesLabel | NumberLabel | None) -> int:
    """Return how many numbers a model computes for a row: a score of each class, else one."""
    return len(label.classes) if isinstance(label, ClassesLabel) else 1


PREDICTED: Final = "predicted"
"""The column of what a model predicts, beside the rows that it is of."""
Named = Label | ClassesLabel | NumberLabel


def chance_titles(label: Named | None) -> tuple[str, ...]:
    """Return the names of the columns of probabilities: `P(COLUMN=CLASS)`, of two the positive."""
    return tuple(f"P({one})" for one in _told_apart(label))


def score_titles(label: Named | None) -> tuple[str, ...]:
    """Return the names of the columns of what a model computes before any link function."""
    several = _told_apart(label) if isinstance(label, ClassesLabel) else ()
    return tuple(f"score({one})" for one in several) or ("score",)


def _told_apart(label: Named | None) -> tuple[str, ...]:
    if label is None or isinstance(label, NumberLabel):
        return ()
    values = label.classes if isinstance(label, ClassesLabel) else (label.positive,)
    return tuple(f"{label.column}={value}" for value in values)


def target_problem(
    label: Label | ClassesLabel | NumberLabel | None, weight: SampleWeight | None
) -> Problem | None:
    """Return a contradiction in a target or in a weight column, or None."""
    if isinstance(label, ClassesLabel) and len(set(label.classes)) != len(label.classes):
        return "features.label.classes", "a class is listed twice", "List each class once."
    if isinstance(label, NumberLabel) and (problem := bounds_problem(label.bounds)):
        return "features.label.bounds", problem, "Use the range that the quantity can have."
    if weight is None:
        return None
    if problem := bounds_problem(weight.bounds):
        return "features.weight.bounds", problem, "Use the owners' declared bounds."
    if weight.bounds[0] < 0 or weight.bounds[1] > MAX_WEIGHT:
        reason = Text("a row counts 0 to {most:g} times", most=MAX_WEIGHT)
        return "features.weight.bounds", reason, "Choose bounds within that."
    return None


MAX_WEIGHT: Final = 1e6
"""Most that one row may count."""


def _number(column: str, text: str) -> float:
    try:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value
    except ValueError:
        raise SecureFlowError(
            "malformed_label",
            Text(
                "The label column {column!r} is numeric, but its positive value is text.",
                column=column,
            ),
            "Name the number that stands for the positive class.",
            {"column": column},
        ) from None
