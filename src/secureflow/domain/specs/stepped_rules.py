"""Contradictions between columns, steps and label: of a preparation, and of a recipe alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from secureflow.domain.bounds import bounds_problem
from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.prepared import PreparedColumn
from secureflow.domain.specs.tables import StepProblem, Table, after
from secureflow.domain.specs.targets import Label


class Stepped(Protocol):
    """Columns, the steps that change them, and the label that weights of evidence are of."""

    @property
    def columns(self) -> tuple[PreparedColumn, ...]:
        """The columns that are read."""

    @property
    def steps(self) -> tuple[Any, ...]:
        """The steps, in order."""

    @property
    def label(self) -> Label | None:
        """The label, if a step needs one."""

    @property
    def table(self) -> Table:
        """The table before the first step."""


def stepped_problem(stepped: Stepped) -> Problem | None:
    """Return a contradiction between columns, steps and label, or None."""
    rules: tuple[Callable[[Stepped], Problem | None], ...] = (
        _column_rules,
        _step_rules,
        _label_rules,
    )
    return next((found for rule in rules if (found := rule(stepped))), None)


def _column_rules(stepped: Stepped) -> Problem | None:
    names = [one.column for one in stepped.columns]
    used = {name for step in stepped.steps for name in step.columns}
    for one in stepped.columns:
        problem = _column_problem(one)
        if names.count(one.column) > 1:
            problem = "it is listed twice", "List each column once."
        elif stepped.label is not None and one.column == stepped.label.column:
            problem = "it is the label", "The label is no input: leave it out of `columns`."
        elif one.type == "text" and one.column not in used:
            problem = "no step uses it, and a text is no input", "Leave it out, or hash it."
        if problem:
            return f"columns.{one.column}", *problem
    return None


def _column_problem(one: PreparedColumn) -> tuple[str, str] | None:
    if (one.type == "category") != bool(one.categories):
        return "categories, and only they, list their categories", "Correct the declaration."
    if len(set(one.categories)) != len(one.categories):
        return "a category is listed twice", "List each once."
    if (one.type == "number") != (one.bounds is not None):
        reason = "numbers, and only they, have bounds: one row could change a sum by anything"
        return reason, "Its owners declare `bounds` in the dataset's configuration."
    problem = bounds_problem(one.bounds) if one.bounds is not None else ""
    return (problem, "Correct the bounds.") if problem else None


def _step_rules(stepped: Stepped) -> Problem | None:
    table, at = stepped.table, 0
    encoded: set[str] = set()
    try:
        for at, step in enumerate(stepped.steps):
            if step.step == "select" and step.by == "iv" and not encoded.issuperset(step.columns):
                reason = "no step `woe` before it made one of them, so it has no information value"
                return step_place(at, "columns"), reason, "Name columns that a step `woe` encodes."
            table = after(step, table)
            encoded |= set(step.columns) if step.step == "woe" else set()
    except StepProblem as problem:
        return step_place(at, problem.field), problem.reason, problem.hint
    if not table:
        return "steps", "no column is left after the last step", "Drop fewer columns."
    return None


def step_place(at: int, name: str) -> str:
    """Return a field of a step as its place in the spec, as `parse` names it."""
    return f"steps.{at}.{name}"


def _label_rules(stepped: Stepped) -> Problem | None:
    needs = [step.step for step in stepped.steps if step.step == "woe"]
    if needs and stepped.label is None:
        return "label", "weights of evidence need a label of two classes", "Name it."
    if stepped.label is not None and not needs:
        return "label", "no step uses it", "Leave it out: agents read only what steps use."
    return None
